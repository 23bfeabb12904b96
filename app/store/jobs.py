"""Jobs: made, read, canceled, and ended when their time is up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, exists, func, select, update

from app.domain.ids import new_id
from app.domain.jobs import SUCCESSFUL, TERMINAL, Job, JobState, NewJob, Step, stages_of
from app.domain.problems import JobFailure, NotFound
from app.domain.tasks import TaskState
from app.store.endings import LIVE, LockedJob, end_job, lock_job, move
from app.store.events import FIRST, Events
from app.store.job_views import eta_seconds, place, queue_position, views
from app.store.pages import page
from app.store.stages import PlannedTask, insert_tasks
from app.store.tables import job_inputs, job_labels, jobs, tasks
from app.store.work import Work
from app.store.workers import Workers

_STARTED = (JobState.STARTING, JobState.RUNNING, JobState.FINALIZING)


class Jobs:
    def __init__(self, work: Work) -> None:
        self._work = work

    def create(self, new: NewJob, *, id: str | None = None) -> Job:  # noqa: A002 - the field's name
        """Make a job with its tasks; blocked while an input is unfinished, failed if one has failed.

        Raises:
            NotFound: the tenant has no job of an input's id.
        """
        inputs = self._lock_inputs(new)
        pending = sorted(i for i, state in inputs.items() if state not in TERMINAL)
        job = self._insert(new, id or new_id("job"), tuple(pending))
        labels = [{"job_id": job.id, "key": k, "value": v} for k, v in new.metadata.items()]
        self._work.insert(job_labels, *labels)
        waits = [{"job_id": job.id, "input_id": i, "pending": i in pending} for i in inputs]
        self._work.insert(job_inputs, *waits)
        first = self._plan(job.id, new, blocked=not set(inputs.values()) <= SUCCESSFUL)
        Events(self._work).first(job.id, "job.queued", {"blocked_by": pending})
        for input_id, state in inputs.items():
            if state in TERMINAL - SUCCESSFUL:
                return self._fail_at_once(job, input_id, state)
        if first is None:
            return job
        unserved = None if first in Workers(self._work).served() else first
        place_in_queue = place(self._work, job.id, first)
        return replace(job, queue_position=place_in_queue, unserved_class=unserved)

    def get(self, tenant_id: str, job_id: str) -> Job | None:
        """Return a job with its place in the queue and the time its present work will take."""
        row = self._work.row(_of(tenant_id).where(jobs.c.id == job_id))
        if row is None:
            return None
        job = views(self._work, [row])[0]
        if job.state in TERMINAL:
            return job
        return replace(
            job,
            queue_position=queue_position(self._work, job_id),
            eta_seconds=eta_seconds(self._work, job_id),
        )

    def many(self, tenant_id: str, ids: Sequence[str]) -> list[Job]:
        """Return the jobs of these ids that the tenant has, in the order asked for."""
        rows = {r["id"]: r for r in self._work.rows(_of(tenant_id).where(jobs.c.id.in_(ids)))}
        return views(self._work, [rows[i] for i in dict.fromkeys(ids) if i in rows])

    def list(
        self,
        tenant_id: str,
        *,
        limit: int,
        after: str | None = None,
        kind: str | None = None,
        state: str | None = None,
        metadata: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
    ) -> tuple[list[Job], bool]:
        """Return a page, newest first, and whether more follow."""
        query = _of(tenant_id)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if created_after is not None:
            query = query.where(jobs.c.created_at > created_after)
        for key, value in (metadata or {}).items():
            label = (job_labels.c.key == key, job_labels.c.value == value)
            query = query.where(exists().where(job_labels.c.job_id == jobs.c.id, *label))
        rows, has_more = page(self._work, jobs, query, limit, after)
        return views(self._work, rows), has_more

    def counts_by_state(self) -> dict[str, int]:
        """Return how many jobs of all tenants are in each state."""
        query = select(jobs.c.state, func.count().label("jobs")).group_by(jobs.c.state)
        return {row["state"]: row["jobs"] for row in self._work.rows(query)}

    def request_cancel(self, tenant_id: str, job_id: str) -> Job | None:
        """Cancel a job: at once where no worker has it, else when its workers have let go.

        A job that has ended, or is being canceled, stays as it is. None: the tenant has no such job.
        """
        job = lock_job(self._work, job_id)
        if job is None or job.tenant_id != tenant_id:
            return None
        if job.state in TERMINAL or job.state is JobState.CANCELING:
            return self.get(tenant_id, job_id)
        requested = {"cancel_requested_at": self._work.now()}
        self._work.run(update(jobs).where(jobs.c.id == job_id).values(**requested))
        if not self._running_tasks(job_id):
            end_job(self._work, job, JobState.CANCELED)
            return self.get(tenant_id, job_id)
        idle = (tasks.c.job_id == job_id, tasks.c.state.in_(LIVE))
        canceled = {"state": TaskState.CANCELED, "ended_at": self._work.now()}
        idle_tasks = update(tasks).where(*idle, tasks.c.state != TaskState.RUNNING)
        self._work.run(idle_tasks.values(**canceled))
        move(self._work, job, JobState.CANCELING)
        return self.get(tenant_id, job_id)

    def end_overdue(self, grace_seconds: float, limit: int = 100) -> int:
        """End jobs whose deadline has passed; returns how many.

        One that has not started expires. One that has fails; its worker, which knows the deadline, has
        ``grace_seconds`` to say so itself.
        """
        now = self._work.now()
        late = select(jobs.c.id).where(
            jobs.c.state.in_((JobState.QUEUED, *_STARTED)), jobs.c.deadline_at < now
        )
        ended = 0
        for row in self._work.rows(late.order_by(jobs.c.id).limit(limit)):
            job = lock_job(self._work, row["id"])
            if job is None:
                continue
            if job.state in _STARTED:
                grace_ends = job.row["deadline_at"] + timedelta(seconds=grace_seconds)
                if now < grace_ends and self._running_tasks(job.id):
                    continue
            ended += end_if_overdue(self._work, job)
        return ended

    def end_canceling(self, grace_seconds: float, limit: int = 100) -> int:
        """End jobs whose workers have let go, or have had ``grace_seconds`` to; returns how many.

        A worker that comes back later finds its task canceled, and its result is refused.
        """
        canceling = select(jobs.c.id).where(jobs.c.state == JobState.CANCELING)
        ended = 0
        for row in self._work.rows(canceling.order_by(jobs.c.id).limit(limit)):
            job = lock_job(self._work, row["id"])
            if job is None or job.state is not JobState.CANCELING:
                continue
            waited = self._work.now() - job.row["cancel_requested_at"]
            if waited.total_seconds() >= grace_seconds or not self._running_tasks(job.id):
                end_job(self._work, job, JobState.CANCELED)
                ended += 1
        return ended

    def _insert(self, new: NewJob, job_id: str, blocked_by: tuple[str, ...]) -> Job:
        """Make the row, and return what a look at it would: who submits waits for every statement."""
        now, deadline = self._work.now(), new.deadline_seconds
        deadline_at = None if deadline is None else now + timedelta(seconds=deadline)
        result = None if new.makes_dataset is None else {"dataset": new.makes_dataset}
        used = {"cpu_seconds": 0.0, "gpu_seconds": 0.0}
        row: dict[str, Any] = {
            "id": job_id,
            "tenant_id": new.tenant_id,
            "kind": new.kind,
            "spec": new.spec,
            "seed": new.seed,
            "evaluate": new.evaluate,
            "release_if": new.release_if,
            "metadata": dict(new.metadata),
            "state": JobState.QUEUED,
            "version": FIRST,
            "deadline_seconds": deadline,
            "deadline_at": deadline_at,
            "created_at": now,
            "retry_of": new.retry_of,
            "result": result,
            "counts": {},
        }
        self._work.insert(jobs, row | used)
        steps = tuple(Step(stage.code, 0, 0) for stage in stages_of(new.kind, new.spec).values())
        return Job(**row, usage=used, steps=steps, blocked_by=blocked_by)

    def _fail_at_once(self, made: Job, input_id: str, state: JobState) -> Job:
        """End a job that was made over an input which has come to nothing."""
        job = lock_job(self._work, made.id)
        assert job is not None
        error = self._existing(made.tenant_id, input_id).error
        end_job(self._work, job, JobState.FAILED, JobFailure.job_ended(input_id, state, error))
        return self._existing(made.tenant_id, made.id)

    def _existing(self, tenant_id: str, job_id: str) -> Job:
        job = self.get(tenant_id, job_id)
        assert job is not None
        return job

    def _running_tasks(self, job_id: str) -> int:
        running = (tasks.c.job_id == job_id, tasks.c.state == TaskState.RUNNING)
        return int(self._work.scalar(select(func.count()).select_from(tasks).where(*running)))

    def _lock_inputs(self, new: NewJob) -> dict[str, JobState]:
        """Return the inputs' states, which stay so until this transaction ends.

        Without the lock an input could end between this look and the insert, unseen by its end and by us.
        """
        if not new.inputs:
            return {}
        wanted = sorted(set(new.inputs))
        found = _of(new.tenant_id).where(jobs.c.id.in_(wanted)).order_by(jobs.c.id)
        rows = self._work.rows(found.with_for_update(read=True))
        if len(rows) != len(wanted):
            raise NotFound("job")
        return {row["id"]: JobState(row["state"]) for row in rows}

    def _plan(self, job_id: str, new: NewJob, *, blocked: bool) -> str | None:
        """Make the tasks that are known now; return the class of the one that can be claimed, if one can."""
        stages = stages_of(new.kind, new.spec)
        first = None if blocked else min(stages)
        planned = [
            PlannedTask(index, TaskState.QUEUED if index == first else TaskState.BLOCKED)
            for index, stage in stages.items()
            if stage.planned_by is None
        ]
        insert_tasks(self._work, job_id, new.tenant_id, new.kind, planned)
        return None if first is None else stages[first].task_class


def end_if_overdue(work: Work, job: LockedJob) -> bool:
    """Expire or fail a locked job whose deadline has passed; False where there is nothing to do."""
    deadline = job.row["deadline_at"]
    if deadline is None or work.now() <= deadline:
        return False
    if job.state is JobState.QUEUED:
        why = JobFailure("Its deadline passed before it started.", code="expired")
        end_job(work, job, JobState.EXPIRED, why)
    elif job.state in _STARTED:
        why = JobFailure.deadline_exceeded(job.row["deadline_seconds"])
        end_job(work, job, JobState.FAILED, why)
    else:
        return False
    return True


def _of(tenant_id: str) -> Select[tuple[object, ...]]:
    return select(jobs).where(jobs.c.tenant_id == tenant_id)
