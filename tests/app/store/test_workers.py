"""Who serves which classes, and which job waits because nobody does."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.tasks import Effects, NewTask
from app.store.database import Store
from app.store.tables import workers


class HandClock:
    """A host's clock that is turned by hand."""

    now, boot = 1000.0, "boot 1"

    def seconds(self) -> float:
        return self.now

    def boot_id(self) -> str:
        return self.boot


def sign_on(store: Store, worker: str, *classes: str) -> None:
    with store.write() as tx:
        tx.workers.seen(worker, classes, "host")


def sign_off(store: Store, worker: str) -> None:
    with store.write() as tx:
        tx.workers.left(worker)


def served(store: Store, within_seconds: float = 15.0) -> set[str]:
    with store.read() as tx:
        return tx.workers.served(within_seconds)


def test_a_class_is_served_while_a_worker_of_it_is_there(store: Store) -> None:
    assert served(store) == set()
    sign_on(store, "a", "cpu")
    sign_on(store, "b", "gpu", "cpu")
    assert served(store) == {"cpu", "gpu"}
    with store.read() as tx:
        assert tx.workers.count_by_class() == {"cpu": 2, "gpu": 1}
    sign_off(store, "b")
    assert served(store) == {"cpu"}


def test_saying_it_again_renews_one_row_and_keeps_its_start(store: Store) -> None:
    rows = []
    for classes in (("cpu",), ("cpu", "gpu")):
        sign_on(store, "a", *classes)
        with store.read() as tx:
            (row,) = tx.rows(select(workers))
        rows.append(row)
    first, again = rows
    assert again["started_at"] == first["started_at"]
    assert again["seen_clock"] > first["seen_clock"]
    assert (again["classes"], again["host"]) == (["cpu", "gpu"], "host")


def test_a_silent_worker_serves_nothing_and_is_purged(store: Store) -> None:
    sign_on(store, "silent", "gpu")
    assert served(store, within_seconds=0) == set()
    with store.write() as tx:
        assert tx.workers.purge(60) == 0
        assert tx.workers.purge(0) == 1
    assert served(store) == set()
    sign_on(store, "silent", "gpu")  # it was only paused
    assert served(store) == {"gpu"}


def test_a_worker_of_another_boot_is_gone(sqlite_url: str) -> None:
    clock = HandClock()
    store = Store(sqlite_url, clock=clock)
    store.migrate()
    sign_on(store, "old", "cpu")
    clock.now += 14
    assert served(store) == {"cpu"}
    clock.now += 1
    assert served(store) == set()
    clock.now, clock.boot = 900.0, "boot 2"
    assert served(store) == set()
    with store.write() as tx:
        assert tx.workers.purge() == 1
    store.close()


def test_a_job_says_that_nobody_serves_its_class(store: Store, lab: Any) -> None:
    job = lab.job("gelda")
    assert job.unserved_class == "gpu"
    sign_on(store, "a", "cpu")
    assert lab.see(job.id).unserved_class == "gpu"
    sign_on(store, "b", "gpu")
    assert lab.see(job.id).unserved_class is None
    sign_off(store, "b")
    seen = lab.see(job.id)
    assert seen.unserved_class == "gpu"
    assert seen.version == job.version
    with store.read() as tx:
        assert tx.jobs.many(lab.tenant, [job.id])[0].unserved_class == "gpu"
        page, _ = tx.jobs.list(lab.tenant, limit=10, kind="gelda")
        assert [one.unserved_class for one in page] == ["gpu"]


def test_a_job_that_waits_on_its_way_says_so_too(store: Store, lab: Any) -> None:
    job = lab.job("gelda")
    prepare = lab.claimed()
    assert lab.see(job.id).unserved_class is None  # claimed: it waits for nobody
    lab.train(prepare)
    assert lab.see(job.id).unserved_class == "cpu"
    plan = tuple(NewTask("sample", number, {}) for number in range(2))
    lab.succeed(lab.claimed(), Effects(plan=plan))
    lab.claimed("gpu")
    assert lab.see(job.id).unserved_class == "gpu"  # the second shard


def _blocked(lab: Any) -> Any:
    return lab.job("gelda", inputs=(lab.job("ingest").id,))


def _canceled(lab: Any) -> Any:
    return lab.cancel(lab.job("gelda").id)


@pytest.mark.parametrize("make", [_blocked, _canceled])
def test_a_job_that_waits_for_no_worker_names_no_class(
    lab: Any, make: Callable[[Any], Any]
) -> None:
    assert make(lab).unserved_class is None
