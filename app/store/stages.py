"""Rows of tasks: how a stage's are made, and become claimable."""

from typing import Any

from sqlalchemy import insert, update

from app.domain.ids import new_id
from app.domain.jobs import PIPELINES
from app.domain.tasks import TaskState
from app.store.tables import tasks
from app.store.work import Work


def insert_task(
    work: Work,
    job_id: str,
    tenant_id: str,
    kind: str,
    index: int,
    *,
    state: TaskState,
    shard: int = 0,
    payload: dict[str, Any] | None = None,
) -> None:
    """Make the row of one task of a job's stage."""
    stage = PIPELINES[kind][index]
    work.run(
        insert(tasks).values(
            id=new_id("task"),
            job_id=job_id,
            tenant_id=tenant_id,
            stage=stage.code,
            stage_index=index,
            shard=shard,
            task_class=stage.task_class,
            state=state,
            payload=payload or {},
            attempt=0,
            crash_count=0,
            watermark=0.0,
            crash_watermark=0.0,
            progress_value=0.0,
            progress_max=0.0,
            created_at=work.now(),
        )
    )
    if state is TaskState.QUEUED:
        work.queued[stage.task_class] += 1


def queue_stage(work: Work, job_id: str, kind: str, index: int) -> int:
    """Make a stage's blocked tasks claimable and return how many there are."""
    blocked = update(tasks).where(
        tasks.c.job_id == job_id,
        tasks.c.stage_index == index,
        tasks.c.state == TaskState.BLOCKED,
    )
    freed = work.run(blocked.values(state=TaskState.QUEUED))
    if freed:
        work.queued[PIPELINES[kind][index].task_class] += freed
    return freed
