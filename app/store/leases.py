"""What a worker writes about a task that it holds: renewals, progress, checkpoints, letting go.

Every function here is fenced by the lease's id and attempt: once the task has another attempt, or has
been canceled or ended, the update meets no row and LeaseLost says so.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, case, func, or_, select, update

from app.domain.jobs import JobState
from app.domain.problems import JobFailure
from app.domain.tasks import Checkpoint, Lease, LeaseLost, Renewal, TaskState
from app.store.endings import LockedJob, charge, end_job, lock_job
from app.store.events import Events
from app.store.tables import jobs, tasks
from app.store.work import Work

PROGRESS_EVENT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """A task that the lease still holds, its job's row locked."""

    lease: Lease
    job: LockedJob
    task: RowMapping


def hold(work: Work, lease: Lease) -> Held:
    """Lock the job of a lease's task, then read the task.

    Raises:
        LeaseLost: the lease does not hold it.
    """
    job_id = work.scalar(select(tasks.c.job_id).where(tasks.c.id == lease.task_id))
    job = lock_job(work, job_id) if job_id else None
    task = work.row(select(tasks).where(*_fence(lease)))
    if job is None or task is None:
        raise LeaseLost
    return Held(lease, job, task)


def update_held(work: Work, lease: Lease, *also: ColumnElement[bool], **values: Any) -> None:
    """The guarded update.

    Raises:
        LeaseLost: it met no row.
    """
    if work.run(update(tasks).where(*_fence(lease), *also).values(**values)) != 1:
        raise LeaseLost


def renew(work: Work, lease: Lease, seconds: float) -> Renewal:
    """Move a lease's end; touches the task's row alone, so that it waits for no one's job lock."""
    until = work.lease_now() + seconds
    update_held(work, lease, lease_until=until, lease_boot=work.boot_id)
    row = work.row(
        select(jobs.c.cancel_requested_at, jobs.c.deadline_at)
        .join(tasks, tasks.c.job_id == jobs.c.id)
        .where(tasks.c.id == lease.task_id)
    )
    assert row is not None
    return Renewal(row["cancel_requested_at"] is not None, seconds_left(work, row["deadline_at"]))


def seconds_left(work: Work, deadline_at: Any) -> float | None:
    """Return the seconds until a deadline, negative after it; None without one."""
    return None if deadline_at is None else float((deadline_at - work.now()).total_seconds())


def progress(work: Work, lease: Lease, value: float, most: float) -> None:
    """Note how far a task is; an event a second at most says so."""
    held = hold(work, lease)
    now, last = work.lease_now(), held.task["progress_event_clock"]
    # An earlier clock is that of another boot.
    tell = last is None or not last <= now < last + PROGRESS_EVENT_SECONDS
    update_held(
        work,
        lease,
        progress_value=value,
        progress_max=most,
        watermark=_higher(value),
        progress_event_clock=now if tell else last,
    )
    if tell:
        data = {"step": held.task["stage"], "shard": held.task["shard"], "value": value}
        Events(work).append(held.job.id, "job.progress", {**data, "max": most})
    else:
        bump = update(jobs).where(jobs.c.id == held.job.id)
        work.run(bump.values(version=jobs.c.version + 1))


def checkpoint(work: Work, lease: Lease, saved: Checkpoint) -> None:
    """Note where the next attempt starts from; the blob is stored already."""
    held = hold(work, lease)
    update_held(
        work,
        lease,
        checkpoint_sha256=saved.sha256,
        checkpoint_step=saved.step,
        watermark=_higher(float(saved.step)),
    )
    data = {"step": held.task["stage"], "shard": held.task["shard"], "at": saved.step}
    Events(work).append(held.job.id, "job.checkpoint", data)


def requeue(
    work: Work, held: Held, reason: str, *, halve_batch: bool = False, delay: float = 0.0
) -> bool:
    """Let another attempt take the task, no crash charged; False where a cancel comes first."""
    if held.job.state is JobState.CANCELING:
        drop(work, held)
        return False
    payload = dict(held.task["payload"])
    if halve_batch:
        payload["halvings"] = payload.get("halvings", 0) + 1
    _put_back(work, held, reason, delay, payload=payload)
    return True


def drop(work: Work, held: Held) -> None:
    """Cancel a task that its worker has let go of; the last one ends the job."""
    charge(work, held.job, held.task)
    canceled = {"state": TaskState.CANCELED, "ended_at": work.now(), "lease_until": None}
    update_held(work, held.lease, **canceled)
    running = select(func.count()).select_from(tasks)
    mine = (tasks.c.job_id == held.job.id, tasks.c.state == TaskState.RUNNING)
    if not work.scalar(running.where(*mine)):
        end_job(work, held.job, JobState.CANCELED)


def crashed(
    work: Work, held: Held, max_crashes: int, *, only_if: ColumnElement[bool] | None = None
) -> bool:
    """Charge a crash; True where the task is queued again.

    The count starts again at 1 when any attempt has come further than the furthest point at the last
    crash: redoing what an earlier attempt did is no progress. At ``max_crashes`` the job fails.

    Raises:
        LeaseLost: the lease does not hold the task, or ``only_if`` is not true of it.
    """
    also = () if only_if is None else (only_if,)
    task = held.task
    came_further = task["watermark"] > task["crash_watermark"]
    crashes = 1 if came_further else task["crash_count"] + 1
    # This update is the first write: where it meets no row, nothing has happened.
    charged = {"crash_count": crashes, "crash_watermark": task["watermark"]}
    update_held(work, held.lease, *also, **charged)
    if held.job.state is JobState.CANCELING:
        drop(work, held)
        return False
    if crashes < max_crashes:
        _put_back(work, held, "crashed", 0.0, crashes=crashes)
        return True
    why = JobFailure.crash_loop(crashes)
    charge(work, held.job, task)
    ended = {"state": TaskState.FAILED, "ended_at": work.now(), "lease_until": None}
    update_held(work, held.lease, **ended, error=why.body())
    end_job(work, held.job, JobState.FAILED, why)
    return False


def expire(work: Work, max_crashes: int, limit: int) -> int:
    """Charge a crash to each task whose lease has expired; returns how many there were."""
    now = work.lease_now()
    gone = or_(tasks.c.lease_until < now, tasks.c.lease_boot != work.boot_id)
    found = select(tasks.c.id, tasks.c.attempt).where(tasks.c.state == TaskState.RUNNING, gone)
    expired = 0
    for row in work.rows(found.order_by(tasks.c.job_id).limit(limit)):
        lease = Lease(row["id"], row["attempt"])
        try:
            # The expiry is looked at again in the write: a renewal may have come in between.
            crashed(work, hold(work, lease), max_crashes, only_if=gone)
        except LeaseLost:
            continue
        expired += 1
    return expired


def _put_back(work: Work, held: Held, reason: str, delay: float, **values: Any) -> None:
    data = {"step": held.task["stage"], "shard": held.task["shard"], "reason": reason}
    if "crashes" in values:
        data["crashes"] = values.pop("crashes")
    charge(work, held.job, held.task)
    update_held(
        work,
        held.lease,
        state=TaskState.QUEUED,
        worker_id=None,
        lease_until=None,
        lease_boot=work.boot_id,
        claimed_clock=None,
        delayed_until=work.lease_now() + delay if delay else None,
        **values,
    )
    if not delay:
        work.queued[held.task["task_class"]] += 1
    Events(work).append(held.job.id, "job.requeued", data)


def _fence(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        tasks.c.id == lease.task_id,
        tasks.c.attempt == lease.attempt,
        tasks.c.state == TaskState.RUNNING,
    )


def _higher(value: float) -> ColumnElement[float]:
    return case((tasks.c.watermark < value, value), else_=tasks.c.watermark)
