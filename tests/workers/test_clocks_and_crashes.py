"""Workers whose clock is an hour wrong, and a job that kills every worker's child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from app.domain.jobs import JobState
from app.domain.tasks import Lease
from app.reconcile import ROLE
from app.settings import Settings
from app.store.database import Store
from app.store.tables import roles
from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service

HOUR = 3600
LEASE_SECONDS = 5.0
ROUNDS = 5

# Read by Python before anything else: all that a process asks for the time of day is an hour off.
WRONG_CLOCK = """
import datetime, os, sqlite3, time  # sqlite3: it learns which type a time of day is when it is imported
shift = float(os.environ["WRONG_BY_SECONDS"])
time_, time_ns = time.time, time.time_ns
time.time = lambda: time_() + shift
time.time_ns = lambda: time_ns() + int(shift * 1e9)
real = datetime.datetime
class Kind(type):
    def __instancecheck__(cls, value):
        return isinstance(value, real)
class Wrong(real, metaclass=Kind):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) + datetime.timedelta(seconds=shift)
datetime.datetime = Wrong
"""


@pytest.fixture
def wrong_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the clock of processes that are started from now on wrong by so many seconds."""

    def set_wrong(seconds: int) -> None:
        folder = tmp_path / "clock"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(WRONG_CLOCK)
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        monkeypatch.setenv("PYTHONPATH", path)
        monkeypatch.setenv("WRONG_BY_SECONDS", str(seconds))
        program = "import datetime as d; print(d.datetime.now(d.UTC).timestamp())"
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        assert abs(float(told.stdout) - time.time() - seconds) < 300

    return set_wrong


@contextmanager
def holding(store: Store, lease: Lease) -> Iterator[None]:
    """Renew a lease as a living worker does, until the end of the block."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(LEASE_SECONDS / 10):
            with store.write() as tx:
                tx.tasks.renew(lease, LEASE_SECONDS)

    with ThreadPoolExecutor(1) as thread:
        kept = thread.submit(keep)
        try:
            yield
        finally:
            over.set()
        kept.result()  # raises where it was taken away


@pytest.mark.parametrize("wrong", [HOUR, pytest.param(-HOUR, marks=pytest.mark.slow)])
def test_a_clock_that_is_an_hour_wrong_takes_no_task_from_who_lives_nor_leaves_one_to_the_dead(
    start: Callable[[Settings], Service],
    settings: Settings,
    database_url: str,
    latents: Callable[..., bytes],
    wrong_clock: Callable[[int], None],
    wrong: int,
) -> None:
    """Who lives is this process, whose clock is right."""
    service = start(settings.model_copy(update={"database_url": database_url}))
    _, job = service.dataset(latents())
    with service.store.write() as tx:
        claim = tx.tasks.claim(("cpu",), "who lives", LEASE_SECONDS)
    assert claim is not None
    wrong_clock(wrong)
    with holding(service.store, claim.lease):
        other = service.worker(lease_seconds=LEASE_SECONDS)
        service.until(lambda: reconciles(service.store), bool, PATIENCE_SECONDS)
        time.sleep(ROUNDS * service.settings.reconcile_seconds)
        assert "job.requeued" not in service.events(job)
    died_at = time.monotonic()
    service.until(other.log.read_text, lambda log: "attempt 2" in log, PATIENCE_SECONDS)
    assert time.monotonic() - died_at < HOUR / 60


def reconciles(store: Store) -> bool:
    """Whether a process looks for leases that have run out."""
    with store.read() as tx:
        return any(row["name"] == ROLE for row in tx.rows(select(roles)))


def test_a_job_whose_child_dies_each_time_ends_as_a_crash_loop_and_others_go_on(
    service: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    worker = service.worker(max_crashes=3, lease_seconds=60)  # children die, the worker does not
    dataset, ingest = service.dataset(latents())
    assert service.wait(ingest).state is JobState.SUCCEEDED
    spec = tiny | {"dataset": dataset}
    first = service.until(lambda: worker.child, bool, PATIENCE_SECONDS)
    assert first is not None
    first.suspend()  # so that the first attempt has no time to get anywhere, as the others have none
    job = service.job(spec, evaluate={"enabled": False})
    other = service.job(spec | {"plan": {"per_class": 1}}, evaluate={"enabled": False})
    for attempt in range(1, 4):
        words = f"gelda.prepare[0] of {job}: attempt {attempt}"
        service.until(worker.log.read_text, lambda log, w=words: w in log, PATIENCE_SECONDS)  # type: ignore[misc]
        child = service.until(lambda: worker.child, bool, PATIENCE_SECONDS)
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
    ended = service.wait(job)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error["code"] == "crash_loop"
    assert service.events(job).count("job.requeued") == 2
    assert service.wait(other).state is JobState.SUCCEEDED
    assert worker.process.poll() is None
