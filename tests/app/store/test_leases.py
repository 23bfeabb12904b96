"""Leases: the fence, renewal, expiry and the rule about crashes."""

from typing import Any

import pytest
from sqlalchemy import select

from app.domain.jobs import JobState
from app.domain.problems import JobFailure
from app.domain.tasks import Checkpoint, Effects, LeaseLost
from app.store.database import Store
from app.store.tables import tasks

WRITES = {
    "renew": lambda tx, lease: tx.tasks.renew(lease, 30),
    "progress": lambda tx, lease: tx.tasks.progress(lease, 1, 2),
    "checkpoint": lambda tx, lease: tx.tasks.checkpoint(lease, Checkpoint("b" * 64, 1)),
    "succeed": lambda tx, lease: tx.tasks.succeed(lease, Effects()),
    "fail": lambda tx, lease: tx.tasks.fail(lease, JobFailure("late")),
    "crashed": lambda tx, lease: tx.tasks.crashed(lease, 3),
    "release": lambda tx, lease: tx.tasks.release(lease),
    "requeue": lambda tx, lease: tx.tasks.requeue(lease, "late"),
    "cancel": lambda tx, lease: tx.tasks.cancel(lease),
}


class Clock:
    """A host's clock that a test can turn."""

    def __init__(self, seconds: float = 1000.0, boot: str = "boot-1") -> None:
        self.now, self.boot = seconds, boot

    def seconds(self) -> float:
        return self.now

    def boot_id(self) -> str:
        return self.boot


@pytest.mark.parametrize("write", WRITES)
def test_an_attempt_whose_task_went_to_another_is_refused(lab: Any, write: str) -> None:
    job = lab.job("gelda")
    stale = lab.claimed(seconds=-1)
    _expire(lab)
    fresh = lab.claimed()
    assert fresh.lease.task_id == stale.lease.task_id
    before = lab.see(job.id).version
    with pytest.raises(LeaseLost), lab.store.write() as tx:
        WRITES[write](tx, stale.lease)
    assert lab.see(job.id).version == before
    assert lab.succeed(fresh)


@pytest.mark.parametrize("write", WRITES)
def test_an_attempt_whose_task_waits_for_another_is_refused(lab: Any, write: str) -> None:
    lab.job("gelda")
    stale = lab.claimed(seconds=-1)
    _expire(lab)
    with pytest.raises(LeaseLost), lab.store.write() as tx:
        WRITES[write](tx, stale.lease)


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written_about_a_task_that_has_ended(lab: Any, write: str) -> None:
    lab.job("gelda")
    claim = lab.claimed()
    lab.succeed(claim)
    with pytest.raises(LeaseLost), lab.store.write() as tx:
        WRITES[write](tx, claim.lease)


def test_an_expired_lease_is_put_back_and_a_crash_is_counted(lab: Any) -> None:
    job = lab.job("gelda")
    lab.claimed(seconds=-1)
    assert _expire(lab) == 1
    assert _task(lab)["crash_count"] == 1
    assert "job.requeued" in lab.events(job.id)
    assert lab.see(job.id).state is JobState.RUNNING
    assert lab.claimed().lease.attempt == 2


def test_a_renewed_lease_does_not_expire(lab: Any) -> None:
    lab.job("gelda")
    claim = lab.claimed(seconds=-1)
    with lab.store.write() as tx:
        renewal = tx.tasks.renew(claim.lease, 30)
    assert not renewal.cancel_requested
    assert _expire(lab) == 0


def test_a_renewal_tells_of_cancel_and_deadline(lab: Any) -> None:
    job = lab.job("gelda", deadline_seconds=60)
    claim = lab.claimed()
    assert 50 < claim.seconds_left <= 60
    with lab.store.write() as tx:
        tx.jobs.request_cancel(lab.tenant, job.id)
    with lab.store.write() as tx:
        renewal = tx.tasks.renew(claim.lease, 30)
    assert renewal.cancel_requested
    assert 50 < renewal.seconds_left <= 60


def test_a_job_that_kills_its_workers_ends_as_a_crash_loop(lab: Any) -> None:
    job, other = lab.job("gelda"), lab.job("gelda")
    for _ in range(3):
        assert lab.claimed(seconds=-1).job_id == job.id
        _expire(lab)
    failed = lab.see(job.id)
    assert failed.state is JobState.FAILED
    assert failed.error["code"] == "crash_loop"
    assert lab.claimed().job_id == other.id


def test_progress_between_crashes_starts_the_count_again(lab: Any) -> None:
    lab.job("gelda")
    for reached in (10, 20, 30, 40, 50):
        claim = lab.claimed()
        with lab.store.write() as tx:
            tx.tasks.progress(claim.lease, reached, 100)
            assert tx.tasks.crashed(claim.lease, 3)
        assert _task(lab)["crash_count"] == 1


def test_doing_the_same_again_is_no_progress(lab: Any) -> None:
    lab.job("gelda")
    counts = []
    for _ in range(3):
        claim = lab.claimed()
        with lab.store.write() as tx:
            for reached in (5, 10):
                tx.tasks.progress(claim.lease, reached, 100)
            tx.tasks.crashed(claim.lease, 3)
        counts.append(_task(lab)["crash_count"])
    assert counts == [1, 2, 3]


def test_a_checkpoint_further_on_is_progress(lab: Any) -> None:
    lab.job("gelda")
    for step in (500, 1000, 1500, 2000):
        claim = lab.claimed()
        with lab.store.write() as tx:
            tx.tasks.checkpoint(claim.lease, Checkpoint("b" * 64, step))
            assert tx.tasks.crashed(claim.lease, 2)


@pytest.mark.parametrize("write", ["release", "requeue"])
def test_letting_go_charges_no_crash(lab: Any, write: str) -> None:
    job = lab.job("gelda")
    for _ in range(5):
        claim = lab.claimed()
        with lab.store.write() as tx:
            WRITES[write](tx, claim.lease)
            assert tx.queued == {"gpu": 1}
    assert _task(lab)["crash_count"] == 0
    assert lab.see(job.id).state is JobState.RUNNING


def test_a_retry_at_half_the_batch_says_so(lab: Any) -> None:
    lab.job("gelda")
    claim = lab.claimed()
    with lab.store.write() as tx:
        tx.tasks.requeue(claim.lease, "out of memory", halve_batch=True)
    assert lab.claimed().payload == {"halvings": 1}


def test_a_delayed_retry_waits(lab: Any) -> None:
    lab.job("gelda")
    claim = lab.claimed()
    with lab.store.write() as tx:
        tx.tasks.requeue(claim.lease, "disk full", delay=3600)
    assert lab.claim() is None
    with lab.store.write() as tx:
        assert tx.tasks.queued_by_class() == {}
        tx.connection.exec_driver_sql("UPDATE tasks SET delayed_until = delayed_until - 3600")
    assert lab.claim() is not None


def test_progress_is_seen_at_once_and_told_once_a_second(lab: Any) -> None:
    job = lab.job("gelda")
    claim = lab.claimed()
    versions = []
    for reached in (1, 2, 3):
        with lab.store.write() as tx:
            tx.tasks.progress(claim.lease, reached, 10)
        seen = lab.see(job.id)
        versions.append(seen.version)
        assert (seen.steps[0].value, seen.steps[0].max) == (reached, 10)
    assert versions == sorted(set(versions))
    assert lab.events(job.id).count("job.progress") == 1


def test_time_held_is_charged_to_the_job_by_class(lab: Any) -> None:
    job = lab.job("gelda")
    claim = lab.claimed()
    with lab.store.write() as tx:
        tx.tasks.release(claim.lease)
    usage = lab.see(job.id).usage
    assert usage["gpu_seconds"] > 0
    assert usage["cpu_seconds"] == 0


def test_a_lease_of_another_boot_has_expired(sqlite_url: str, make_lab: Any) -> None:
    clock = Clock()
    lab = make_lab(store := Store(sqlite_url, clock=clock))
    lab.job("gelda")
    lab.claimed(seconds=30)
    clock.now, clock.boot = 5.0, "boot-2"  # less on the clock than the lease's end
    assert _expire(lab) == 1
    assert lab.claimed().lease.attempt == 2
    store.close()


def test_a_delay_of_another_boot_is_over(sqlite_url: str, make_lab: Any) -> None:
    clock = Clock()
    lab = make_lab(store := Store(sqlite_url, clock=clock))
    lab.job("gelda")
    with store.write() as tx:
        tx.tasks.requeue(tx.tasks.claim(("gpu",), "w", 30).lease, "disk full", delay=600)
    assert lab.claim() is None
    clock.now, clock.boot = 5.0, "boot-2"
    assert lab.claim() is not None
    store.close()


def test_a_lease_ends_by_the_lease_clock_not_the_time_of_day(
    sqlite_url: str, make_lab: Any
) -> None:
    clock = Clock()
    lab = make_lab(store := Store(sqlite_url, clock=clock))
    lab.job("gelda")
    lab.claimed(seconds=30)
    clock.now += 29
    assert _expire(lab) == 0
    clock.now += 2
    assert _expire(lab) == 1
    store.close()


def test_progress_goes_on_being_told_after_a_reboot(sqlite_url: str, make_lab: Any) -> None:
    clock = Clock()
    lab = make_lab(store := Store(sqlite_url, clock=clock))
    job = lab.job("gelda")
    for now, boot in ((1000.0, "boot-1"), (3.0, "boot-2")):
        clock.now, clock.boot = now, boot
        claim = lab.claimed()
        with store.write() as tx:
            tx.tasks.progress(claim.lease, 1, 2)
            tx.tasks.release(claim.lease)
    assert lab.events(job.id).count("job.progress") == 2
    store.close()


def _expire(lab: Any, max_crashes: int = 3) -> int:
    with lab.store.write() as tx:
        found: int = tx.tasks.expire_leases(max_crashes)
    return found


def _task(lab: Any) -> Any:
    with lab.store.read() as tx:
        return tx.row(select(tasks).where(tasks.c.stage == "prepare"))
