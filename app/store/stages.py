"""Rows of tasks: how a stage's are made, and become claimable."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update

from app.domain.ids import new_id
from app.domain.jobs import PIPELINES
from app.domain.tasks import TaskState
from app.store.tables import tasks
from app.store.work import Work


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """One task of a job, which belongs to the stage at this place of its pipeline."""

    index: int
    state: TaskState
    shard: int = 0
    payload: dict[str, Any] = field(default_factory=dict)


def insert_tasks(
    work: Work, job_id: str, tenant_id: str, kind: str, planned: Sequence[PlannedTask]
) -> None:
    """Make the rows of some of a job's tasks."""
    pipeline, now = PIPELINES[kind], work.now()
    rows = [
        {
            "id": new_id("task"),
            "job_id": job_id,
            "tenant_id": tenant_id,
            "stage": pipeline[task.index].code,
            "stage_index": task.index,
            "shard": task.shard,
            "task_class": pipeline[task.index].task_class,
            "state": task.state,
            "payload": task.payload,
            "attempt": 0,
            "crash_count": 0,
            "watermark": 0.0,
            "crash_watermark": 0.0,
            "progress_value": 0.0,
            "progress_max": 0.0,
            "created_at": now,
        }
        for task in planned
    ]
    work.insert(tasks, *rows)
    for task in planned:
        if task.state is TaskState.QUEUED:
            work.queued[pipeline[task.index].task_class] += 1


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
