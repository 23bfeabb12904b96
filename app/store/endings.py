"""A job's row under lock, its transitions, and its end with all that follows from it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, func, select, update

from app.domain.jobs import (
    MAKE_DATASETS,
    PIPELINES,
    SUCCESSFUL,
    JobState,
    Stage,
    check_transition,
    stages_of,
)
from app.domain.problems import JobFailure, Problem
from app.domain.tasks import TaskState
from app.store.datasets import Datasets
from app.store.events import Events
from app.store.stages import queue_stage
from app.store.tables import job_inputs, jobs, tasks
from app.store.work import Work

LIVE = (TaskState.BLOCKED, TaskState.QUEUED, TaskState.RUNNING)


@dataclass(slots=True)
class LockedJob:
    """A job whose row this transaction has locked; ``state`` follows the transitions made in it."""

    id: str
    tenant_id: str
    state: JobState
    row: RowMapping

    @property
    def pipeline(self) -> tuple[Stage, ...]:
        return PIPELINES[self.row["kind"]]


def lock_job(work: Work, job_id: str, *, skip_locked: bool = False) -> LockedJob | None:
    """Lock a job's row until the transaction ends; None where there is none (or another has it).

    Every change of a job, of its tasks' states and of its events happens under this lock. That is what
    makes "the last shard to end unblocks the next stage" true when two end at once: the second waits
    here, and its look at the other shards comes after the first one's commit.
    """
    locked = (
        select(jobs)
        .where(jobs.c.id == job_id)
        .with_for_update(key_share=True, skip_locked=skip_locked)
    )
    row = work.row(locked)
    if row is None:
        return None
    return LockedJob(row["id"], row["tenant_id"], JobState(row["state"]), row)


def move(work: Work, job: LockedJob, *path: JobState, **values: Any) -> None:
    """Take a job through one or more legal transitions, and say so in an event.

    Raises:
        IllegalTransition: the table in `app.domain.jobs` has no such step.
    """
    old = job.state
    for new in path:
        check_transition(job.state, new)
        job.state = new
    changed = update(jobs).where(jobs.c.id == job.id, jobs.c.state == old)
    met = work.run(changed.values(state=job.state, version=jobs.c.version + 1, **values))
    assert met == 1, "the job's row was not locked"
    if job.state is not JobState.FINALIZING:  # the stage that publishes has an event of its own
        told = {name: values[name] for name in ("awaiting", "error") if values.get(name)}
        Events(work).append(job.id, f"job.{job.state}", told)


def go_on(work: Work, job: LockedJob, after: int) -> None:
    """Make the first stage with tasks behind this place claimable, or end the job where there is none."""
    for following in range(after + 1, len(job.pipeline)):
        if queue_stage(work, job.id, job.row["kind"], following):
            if following == len(job.pipeline) - 1:
                move(work, job, JobState.FINALIZING)
            return
    failed = work.scalar(select(jobs.c.counts).where(jobs.c.id == job.id)).get("failed", 0)
    end_job(work, job, JobState.PARTIALLY_SUCCEEDED if failed else JobState.SUCCEEDED)


def end_job(work: Work, job: LockedJob, state: JobState, problem: Problem | None = None) -> None:
    """End a job, and with it what depends on it.

    Its unfinished tasks are canceled, which fences their workers off. Dependents of a success are
    unblocked; those of anything else fail with ``input_failed``, and theirs, and so on.
    """
    failed = [(job.id, state, problem)]
    while failed:
        job_id, end, why = failed.pop(0)
        found = job if job_id == job.id else lock_job(work, job_id)
        if found is None or (found is not job and found.state is not JobState.QUEUED):
            continue  # a second way to the same dependent, or it was canceled
        _end_one(work, found, end, why)
        waiting = _dependents(work, job_id)
        if end in SUCCESSFUL:
            for dependent in waiting:
                _input_succeeded(work, dependent, job_id)
        else:
            because = JobFailure.job_ended(job_id, end, why.body() if why else None)
            failed += [(dependent, JobState.FAILED, because) for dependent in waiting]


def charge(work: Work, job: LockedJob, task: RowMapping) -> None:
    """Add the time since a task was claimed to its job's usage, in the class that it ran in."""
    if task["claimed_clock"] is None or task["lease_boot"] != work.boot_id:
        return
    seconds = max(0.0, work.lease_now() - task["claimed_clock"])
    column = jobs.c.gpu_seconds if task["task_class"] == "gpu" else jobs.c.cpu_seconds
    spent = update(jobs).where(jobs.c.id == job.id)
    work.run(spent.values({column: column + seconds}))


def _end_one(work: Work, job: LockedJob, state: JobState, problem: Problem | None) -> None:
    mine = (tasks.c.job_id == job.id, tasks.c.state.in_(LIVE))
    for task in work.rows(select(tasks).where(*mine, tasks.c.state == TaskState.RUNNING)):
        charge(work, job, task)
    canceled = {"state": TaskState.CANCELED, "ended_at": work.now(), "lease_until": None}
    work.run(update(tasks).where(*mine).values(**canceled))
    error = problem.body() if problem else None
    path = [state]
    if state in SUCCESSFUL and job.state is not JobState.FINALIZING:
        path = [JobState.FINALIZING, state]
    move(work, job, *path, error=error, ended_at=work.now())
    if state not in SUCCESSFUL and job.row["kind"] in MAKE_DATASETS:
        what = problem or JobFailure(f"The job that makes it was {state}.", code=str(state))
        Datasets(work).mark_failed(job.id, what.body())


def _dependents(work: Work, job_id: str) -> list[str]:
    waiting = select(job_inputs.c.job_id).where(
        job_inputs.c.input_id == job_id, job_inputs.c.pending
    )
    # In the order of age, which is that of dependence: transactions lock in the same order.
    return [row["job_id"] for row in work.rows(waiting.order_by(job_inputs.c.job_id))]


def _input_succeeded(work: Work, job_id: str, input_id: str) -> None:
    job = lock_job(work, job_id)
    assert job is not None
    settled = (job_inputs.c.job_id == job_id, job_inputs.c.input_id == input_id)
    work.run(update(job_inputs).where(*settled).values(pending=False))
    if job.state is not JobState.QUEUED:
        return
    # `blocked_by` is shorter now, which is a visible change.
    work.run(update(jobs).where(jobs.c.id == job_id).values(version=jobs.c.version + 1))
    still = select(func.count()).select_from(job_inputs)
    if not work.scalar(still.where(job_inputs.c.job_id == job_id, job_inputs.c.pending)):
        kind = job.row["kind"]
        queue_stage(work, job_id, kind, min(stages_of(kind, job.row["spec"])))
