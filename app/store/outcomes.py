"""How a task ends, and what becomes true with it, in the one transaction."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select, update

from app.domain.jobs import JobState
from app.domain.problems import JobFailure, Problem
from app.domain.tasks import Effects, NewTask, TaskState
from app.store.artifacts import Artifacts
from app.store.datasets import Datasets
from app.store.endings import LockedJob, charge, end_job, go_on
from app.store.events import Events
from app.store.generators import Classifiers, Generators
from app.store.leases import Held, drop, update_held
from app.store.register import Register
from app.store.reviews import Reviews, ask_for_pause, pause_if_asked
from app.store.stages import PlannedTask, insert_tasks
from app.store.tables import jobs, tasks
from app.store.work import Work


def succeed(work: Work, held: Held, effects: Effects) -> bool:
    """End a task well and publish its effects; False, with no effect, where a cancel came first."""
    if held.job.state is JobState.CANCELING:
        drop(work, held)
        return False
    job, task = held.job, held.task
    charge(work, job, task)
    most = task["progress_max"] or 1.0
    update_held(
        work,
        held.lease,
        state=TaskState.SUCCEEDED,
        result=effects.result,
        progress_value=most,
        progress_max=most,
        lease_until=None,
        ended_at=work.now(),
    )
    _publish(work, job, effects)
    if effects.withheld is not None:
        # The stages that would hand out the rest never run: there is nothing of it to be found.
        end_job(work, job, JobState.FAILED, JobFailure.not_released(effects.withheld))
        return True
    _plan(work, job, task["stage"], effects.plan)
    if effects.pause is not None:
        ask_for_pause(work, job, task["stage_index"], effects.pause)
    _advance(work, job, task["stage_index"])
    return True


def fail(work: Work, held: Held, problem: Problem) -> None:
    """End a task, and with it its job, badly. A job that is being canceled is canceled."""
    if held.job.state is JobState.CANCELING:
        drop(work, held)
        return
    charge(work, held.job, held.task)
    ended = {"state": TaskState.FAILED, "ended_at": work.now(), "lease_until": None}
    update_held(work, held.lease, **ended, error=problem.body())
    end_job(work, held.job, JobState.FAILED, problem)


def _publish(work: Work, job: LockedJob, effects: Effects) -> None:
    made: dict[str, Any] = {}
    Artifacts(work).add(job.tenant_id, job.id, effects.artifacts)
    if effects.generator:
        made["generator"] = Generators(work).add(job.tenant_id, job.id, effects.generator)
    if effects.classifier:
        made["classifier"] = Classifiers(work).add(job.tenant_id, job.id, effects.classifier)
    if effects.dataset:
        manifest, stats = effects.dataset["manifest"], effects.dataset.get("stats") or {}
        made["dataset"] = Datasets(work).mark_ready(job.id, manifest, stats)
    Reviews(work).add(job.id, effects.review)
    Register(work).add_all(job.tenant_id, dict(_stored(effects)))
    if not (made or effects.summary or effects.counts):
        return
    # Read anew: another shard may have written since the row was first seen, under its own lock.
    row = work.row(select(jobs.c.result, jobs.c.counts).where(jobs.c.id == job.id))
    assert row is not None
    counts = dict(row["counts"])
    for name, number in effects.counts.items():
        counts[name] = counts.get(name, 0) + number
    result = {**(row["result"] or {}), **effects.summary, **made}
    work.run(update(jobs).where(jobs.c.id == job.id).values(result=result, counts=counts))


def _stored(effects: Effects) -> Iterator[tuple[str, int]]:
    """The blobs that effects refer to, with their sizes."""
    for artifact in effects.artifacts:
        yield artifact.sha256, artifact.bytes
    for item in effects.review:
        for picture in (item.before, item.after):
            if picture is not None:
                yield picture.sha256, picture.bytes
    described = [
        *(model.files.values() for model in (effects.generator, effects.classifier) if model)
    ]
    if effects.dataset:
        described.append(effects.dataset["manifest"].get("columns", {}).values())
    for files in described:
        for file in files:
            if "sha256" in file and "bytes" in file:
                yield file["sha256"], file["bytes"]


def _plan(work: Work, job: LockedJob, planner: str, plan: tuple[NewTask, ...]) -> None:
    stages = {stage.code: index for index, stage in enumerate(job.pipeline)}
    planned = []
    for task in plan:
        index = stages[task.stage]
        if job.pipeline[index].planned_by != planner:
            raise ValueError(f"stage {task.stage} is not planned by {planner}")
        planned.append(PlannedTask(index, TaskState.BLOCKED, task.shard, task.payload))
    insert_tasks(work, job.id, job.tenant_id, job.row["kind"], planned)


def _advance(work: Work, job: LockedJob, index: int) -> None:
    """Go on to the next stage, wait for a person, or end the job, once no task of this stage is left.

    Of shards that end at once the later one comes here only after the earlier one's commit, because the
    job's row is locked: exactly one of them sees none left.
    """
    unfinished = (
        select(func.count())
        .select_from(tasks)
        .where(
            tasks.c.job_id == job.id,
            tasks.c.stage_index == index,
            tasks.c.state != TaskState.SUCCEEDED,
        )
    )
    if work.scalar(unfinished):
        Events(work).append(job.id, "job.progress", _shards(work, job, index))
        return
    code = job.pipeline[index].code
    Events(work).append(job.id, "job.step", {"step": code, "phase": "ended"})
    if not pause_if_asked(work, job):
        go_on(work, job, index)


def _shards(work: Work, job: LockedJob, index: int) -> dict[str, Any]:
    of_stage = (tasks.c.job_id == job.id, tasks.c.stage_index == index)
    done = select(func.count()).where(*of_stage, tasks.c.state == TaskState.SUCCEEDED)
    every = select(func.count()).where(*of_stage)
    code = job.pipeline[index].code
    return {"step": code, "value": work.scalar(done), "max": work.scalar(every)}
