"""The reconciler: what was lost is put back, by one process at a time."""

import os
import threading
import time

import pytest
import redis
from sqlalchemy import select, update

from app.domain.jobs import Job, JobState, NewJob
from app.queue import Bell
from app.reconcile import ROLE, Reconciler
from app.settings import Settings
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.tables import uploads, workers
from app.store.workers import SILENT_SECONDS


@pytest.fixture
def bell(redis_url: str) -> Bell:
    return Bell(redis_url)


@pytest.fixture
def reconciler(store: Store, bell: Bell, settings: Settings) -> Reconciler:
    return Reconciler(store, bell, settings)


def make_job(store: Store, tenant: str, deadline: float | None = None) -> Job:
    with store.write() as tx:
        new = NewJob(tenant, "ingest", {"uploads": []}, seed=0, deadline_seconds=deadline)
        return tx.jobs.create(new)


def state(store: Store, job: Job) -> JobState:
    with store.read() as tx:
        return tx.jobs.many(job.tenant_id, [job.id])[0].state


def test_a_lost_bell_is_rung_again(
    store: Store, tenant: str, reconciler: Reconciler, bell: Bell, redis_url: str
) -> None:
    make_job(store, tenant)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    reconciler.run_once()
    assert bell.depth() == {"cpu": 1, "gpu": 0}
    reconciler.run_once()
    assert bell.depth() == {"cpu": 1, "gpu": 0}  # one wake-up waits already


def test_an_idle_store_rings_no_bell(store: Store, reconciler: Reconciler, bell: Bell) -> None:
    reconciler.run_once()
    assert bell.depth() == {"cpu": 0, "gpu": 0}


def test_silent_workers_tasks_are_put_back(
    store: Store, tenant: str, reconciler: Reconciler, bell: Bell
) -> None:
    for _ in range(3):
        make_job(store, tenant)
        with store.write() as tx:
            assert tx.tasks.claim(("cpu",), "dead", -1)
    reconciler.run_once()
    with store.read() as tx:
        assert tx.tasks.queued_by_class() == {"cpu": 3}
    assert (bell.depth() or {})["cpu"] == 3


def test_jobs_whose_time_is_up_are_ended(store: Store, tenant: str, reconciler: Reconciler) -> None:
    late, canceled = make_job(store, tenant, deadline=0.05), make_job(store, tenant)
    time.sleep(0.1)
    with store.write() as tx:
        claim = tx.tasks.claim(("cpu",), "w", 30)
        assert claim is not None
        tx.jobs.request_cancel(tenant, canceled.id)
    reconciler.run_once()
    assert state(store, late) is JobState.EXPIRED
    assert state(store, canceled) is JobState.CANCELING


def test_a_canceled_job_ends_though_its_worker_is_stuck(
    store: Store, tenant: str, bell: Bell, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = settings.model_copy(update={"cancel_grace_seconds": 0.05})
    job = make_job(store, tenant)
    with store.write() as tx:
        tx.tasks.claim(("cpu",), "stuck", 3600)
        tx.jobs.request_cancel(tenant, job.id)
    reconciler = Reconciler(store, bell, quick)
    monkeypatch.setattr("app.reconcile._CANCEL_MARGIN_SECONDS", 600.0)
    reconciler.run_once()
    assert state(store, job) is JobState.CANCELING
    monkeypatch.setattr("app.reconcile._CANCEL_MARGIN_SECONDS", 0.0)
    time.sleep(0.1)
    reconciler.run_once()
    assert state(store, job) is JobState.CANCELED


def test_forgotten_uploads_are_collected(store: Store, tenant: str, reconciler: Reconciler) -> None:
    with store.write() as tx:
        old, new = (tx.uploads.create(tenant, "x", 1, None, 1) for _ in range(2))
        long_ago = tx.now().replace(year=2020)
        tx.run(update(uploads).where(uploads.c.id == old.id).values(touched_at=long_ago))
    reconciler.run_once()
    with store.read() as tx:
        assert tx.uploads.get(tenant, old.id) is None
        assert tx.uploads.get(tenant, new.id) is not None


def test_blobs_are_collected_beside_the_rounds(
    store: Store, tenant: str, bell: Bell, settings: Settings, blobs: LocalBlobs
) -> None:
    unnamed = blobs.put_bytes(tenant, b"unnamed").sha256
    file = blobs.staging.parent / tenant / unnamed[:2] / unnamed
    os.utime(file, (0, 0))
    reconciler = Reconciler(store, bell, settings, blobs)
    until = time.monotonic() + 60
    while file.exists() and time.monotonic() < until:
        assert reconciler.run_once()
        time.sleep(0.02)
    assert [one.sha256 for one in blobs.aside(tenant)] == [unnamed]
    blobs.put_bytes(tenant, b"unnamed")
    os.utime(file, (0, 0))
    for _ in range(3):
        reconciler.run_once()
    assert file.exists()  # the next round is due in an hour


def test_workers_that_died_are_forgotten(store: Store, reconciler: Reconciler) -> None:
    with store.write() as tx:
        tx.workers.seen("dead", {"gpu"}, "host")
        tx.run(update(workers).values(seen_clock=workers.c.seen_clock - SILENT_SECONDS - 1))
        tx.workers.seen("alive", {"cpu"}, "host")
    reconciler.run_once()
    with store.read() as tx:
        assert [row["id"] for row in tx.rows(select(workers))] == ["alive"]


def test_one_process_reconciles_at_a_time(
    store: Store, bell: Bell, settings: Settings, reconciler: Reconciler
) -> None:
    other = Reconciler(store, bell, settings)
    assert reconciler.run_once()
    assert not other.run_once()


def test_it_goes_on_through_an_outage_and_gives_its_role_up_at_the_end(
    store: Store, tenant: str, bell: Bell, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler, stop, rounds = Reconciler(store, bell, settings), threading.Event(), []
    run_once = reconciler.run_once

    def stumble() -> bool:
        rounds.append(1)
        if len(rounds) < 3:
            raise RuntimeError("an outage")
        return run_once()

    monkeypatch.setattr(reconciler, "run_once", stumble)
    make_job(store, tenant)
    thread = threading.Thread(target=reconciler.run_forever, args=(stop,))
    thread.start()
    until = time.monotonic() + 60
    while not (bell.depth() or {}).get("cpu") and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    thread.join(60)
    assert bell.depth() == {"cpu": 1, "gpu": 0}
    with store.write() as tx:
        assert tx.roles.hold(ROLE, "successor", 1)
