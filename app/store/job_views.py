"""From rows to `Job` records: steps, what it waits for, its place in the queue."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import RowMapping, bindparam, case, func, select

from app.domain.jobs import Job, JobState, Step, stages_of
from app.domain.tasks import TaskState
from app.store.tables import job_inputs, tasks
from app.store.work import Work
from app.store.workers import Workers

_COUNTED_PLACES = 1000

# Made once: to make them takes longer than to execute them.
_WAITS_FOR = (
    select(tasks.c.task_class)
    .where(tasks.c.job_id == bindparam("job_id"), tasks.c.state == TaskState.QUEUED)
    .limit(1)
)
_OLDER = select(func.count()).select_from(
    select(tasks.c.job_id)
    .where(
        tasks.c.state == TaskState.QUEUED,
        tasks.c.task_class == bindparam("task_class"),
        tasks.c.job_id < bindparam("job_id"),
    )
    .distinct()
    .order_by(tasks.c.job_id)  # along the index: PostgreSQL would else gather the whole queue first
    .limit(_COUNTED_PLACES - 1)
    .subquery()
)


def views(work: Work, rows: Sequence[RowMapping]) -> list[Job]:
    """Return the records of job rows, in their order."""
    ids = [row["id"] for row in rows]
    if not ids:
        return []
    (steps, waiting), blocked = _steps(work, ids), _blocked_by(work, ids)
    served = Workers(work).served() if waiting else set()
    unserved = {
        job_id: task_class for job_id, task_class in waiting.items() if task_class not in served
    }
    return [
        _view(row, steps[row["id"]], tuple(blocked[row["id"]]), unserved.get(row["id"]))
        for row in rows
    ]


def _view(
    row: RowMapping, steps: dict[str, Step], blocked_by: tuple[str, ...], unserved: str | None
) -> Job:
    return Job(
        id=row["id"],
        tenant_id=row["tenant_id"],
        kind=row["kind"],
        spec=row["spec"],
        seed=row["seed"],
        state=JobState(row["state"]),
        created_at=row["created_at"],
        version=row["version"],
        evaluate=row["evaluate"],
        release_if=row["release_if"],
        metadata=row["metadata"],
        blocked_by=blocked_by,
        cancel_requested=row["cancel_requested_at"] is not None,
        deadline_seconds=row["deadline_seconds"],
        deadline_at=row["deadline_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        retry_of=row["retry_of"],
        error=row["error"],
        result=row["result"],
        steps=tuple(
            steps.get(stage.code, Step(stage.code, 0, 0))
            for stage in stages_of(row["kind"], row["spec"]).values()
        ),
        counts=row["counts"],
        usage={"cpu_seconds": row["cpu_seconds"], "gpu_seconds": row["gpu_seconds"]},
        unserved_class=unserved,
        awaiting=row["awaiting"] if row["state"] == JobState.AWAITING_REVIEW else None,
    )


def _steps(work: Work, ids: list[str]) -> tuple[defaultdict[str, dict[str, Step]], dict[str, str]]:
    """Return the jobs' progress by stage, and which class the queued tasks of a job wait for.

    Progress of a stage in shards is the shards: 3.25 of 8. Only one stage of a job is queued at a time.
    """
    queued = case((tasks.c.state == TaskState.QUEUED, 1), else_=0)
    share = case((tasks.c.progress_max > 0, tasks.c.progress_value / tasks.c.progress_max), else_=0)
    query = (
        select(
            tasks.c.job_id,
            tasks.c.stage,
            tasks.c.task_class,
            func.sum(queued).label("queued"),
            func.count().label("shards"),
            func.sum(share).label("share"),
            func.sum(tasks.c.progress_value).label("value"),
            func.sum(tasks.c.progress_max).label("max"),
        )
        .where(tasks.c.job_id.in_(ids))
        .group_by(tasks.c.job_id, tasks.c.stage, tasks.c.task_class)
    )
    steps: defaultdict[str, dict[str, Step]] = defaultdict(dict)
    waiting: dict[str, str] = {}
    for row in work.rows(query):
        value, most = (row["value"], row["max"])
        if row["shards"] > 1:
            value, most = (row["share"], row["shards"])
        steps[row["job_id"]][row["stage"]] = Step(row["stage"], float(value), float(most))
        if row["queued"]:
            waiting[row["job_id"]] = row["task_class"]
    return steps, waiting


def _blocked_by(work: Work, ids: list[str]) -> defaultdict[str, list[str]]:
    query = select(job_inputs.c.job_id, job_inputs.c.input_id).where(
        job_inputs.c.job_id.in_(ids), job_inputs.c.pending
    )
    blocked: defaultdict[str, list[str]] = defaultdict(list)
    for row in work.rows(query.order_by(job_inputs.c.input_id)):
        blocked[row["job_id"]].append(row["input_id"])
    return blocked


def queue_position(work: Work, job_id: str) -> int | None:
    """Return 1 for the job whose task is the oldest claimable one of its class, and so on to 1000.

    Further back is not counted, so that a long queue makes no request slow. Fairness between tenants may
    serve a job earlier than its place says. None where the job waits for something else.
    """
    task_class = work.scalar(_WAITS_FOR, job_id=job_id)
    return None if task_class is None else place(work, job_id, task_class)


def place(work: Work, job_id: str, task_class: str) -> int:
    """Return the place of a job whose task of this class can be claimed."""
    return int(work.scalar(_OLDER, job_id=job_id, task_class=task_class)) + 1


TELLING_SHARE, TELLING_SECONDS = 0.05, 10.0
"""Before a task has done this share, or run for so long, its pace says nothing of the rest."""


def eta_seconds(work: Work, job_id: str) -> float | None:
    """Return the seconds until the running tasks end at their present pace; None before any progress.

    Stages that have not begun are not in it: nobody knows their length yet.
    """
    running = select(tasks).where(tasks.c.job_id == job_id, tasks.c.state == TaskState.RUNNING)
    left = []
    for task in work.rows(running):
        done, most = task["progress_value"], task["progress_max"]
        if not done or most <= done or task["lease_boot"] != work.boot_id:
            continue
        spent = work.lease_now() - task["claimed_clock"]
        if done / most < TELLING_SHARE and spent < TELLING_SECONDS:
            continue  # what starts a task (imports, first batches) would count for all of it
        left.append(spent * (most - done) / done)
    return max(left, default=None)
