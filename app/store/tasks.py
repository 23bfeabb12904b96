"""Tasks: the queue. Claiming is here; what a claim's holder may write is in `leases` and `outcomes`."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, RowMapping, func, or_, select, update

from app.domain.jobs import TERMINAL, JobState
from app.domain.problems import JobFailure, Problem
from app.domain.tasks import Checkpoint, Claim, Effects, Lease, Renewal, TaskState
from app.store import leases, outcomes
from app.store.endings import LockedJob, end_job, lock_job, move
from app.store.events import Events
from app.store.inputs import InputMissing, resolve
from app.store.jobs import end_if_overdue
from app.store.reviews import Reviews
from app.store.tables import tasks, tenants
from app.store.work import Work

_ROUNDS = 100


class Tasks:
    def __init__(self, work: Work) -> None:
        self._work = work

    def claim(self, classes: Collection[str], worker_id: str, lease_seconds: float) -> Claim | None:
        """Take the next task of these classes; None where nothing can be claimed.

        Tenants with fewer running tasks come first, then the oldest job. On the way, jobs whose deadline
        has passed or whose inputs are gone are ended.
        """
        passed_over: list[str] = []
        holding = False
        for _ in range(_ROUNDS):
            job_id = self._next_job(classes, passed_over)
            wait = job_id is None
            if job_id is None:
                # To wait while holding another job's lock could close a circle of claimers: come back.
                if not passed_over or holding:
                    return None
                job_id = passed_over.pop(0)
            # Another claimer is busy with this job: look elsewhere first, wait for it last.
            job = lock_job(self._work, job_id, skip_locked=not wait)
            if job is None:
                passed_over.append(job_id)
                continue
            claim = self._take(job, classes, worker_id, lease_seconds)
            if claim is not None:
                return claim
            holding = True
        return None

    def renew(self, lease: Lease, seconds: float) -> Renewal:
        """Keep a task for some more seconds, and learn whether to go on.

        Raises:
            LeaseLost: as all that follow do where the lease does not hold the task any more.
        """
        return leases.renew(self._work, lease, seconds)

    def progress(self, lease: Lease, value: float, max: float) -> None:  # noqa: A002 - as in the API's steps
        leases.progress(self._work, lease, value, max)

    def checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
        leases.checkpoint(self._work, lease, checkpoint)

    def succeed(self, lease: Lease, effects: Effects) -> bool:
        """Publish what the task made; False, with no effect, where the job is being canceled."""
        return outcomes.succeed(self._work, leases.hold(self._work, lease), effects)

    def fail(self, lease: Lease, problem: Problem) -> None:
        """End the task's job with this problem as its error."""
        outcomes.fail(self._work, leases.hold(self._work, lease), problem)

    def crashed(self, lease: Lease, max_crashes: int) -> bool:
        """Say that the process which ran the task died; True where the task is queued again."""
        return leases.crashed(self._work, leases.hold(self._work, lease), max_crashes)

    def release(self, lease: Lease) -> bool:
        """Give a task back because this worker ends; no crash is charged."""
        return leases.requeue(self._work, leases.hold(self._work, lease), "released")

    def requeue(
        self, lease: Lease, reason: str, halve_batch: bool = False, delay: float = 0.0
    ) -> bool:
        """Have the task tried again, no crash charged; False where the job is being canceled.

        ``halve_batch`` counts up ``payload["halvings"]``: the next attempt runs at half the batch.
        ``delay`` is in seconds, during which it cannot be claimed.
        """
        held = leases.hold(self._work, lease)
        return leases.requeue(self._work, held, reason, halve_batch=halve_batch, delay=delay)

    def cancel(self, lease: Lease) -> None:
        """Let go of a task whose job is being canceled; the last one to do so ends the job."""
        leases.drop(self._work, leases.hold(self._work, lease))

    def expire_leases(self, max_crashes: int, limit: int = 100) -> int:
        """Put back the tasks of workers that fell silent; returns how many were found."""
        return leases.expire(self._work, max_crashes, limit)

    def queued_by_class(self) -> dict[str, int]:
        """Return how many tasks of each class can be claimed now."""
        query = select(tasks.c.task_class, func.count().label("tasks")).where(*self._claimable())
        rows = self._work.rows(query.group_by(tasks.c.task_class))
        return {row["task_class"]: row["tasks"] for row in rows}

    def _claimable(self) -> tuple[ColumnElement[bool], ...]:
        due = or_(
            tasks.c.delayed_until.is_(None),
            tasks.c.delayed_until <= self._work.lease_now(),
            tasks.c.lease_boot != self._work.boot_id,
        )
        return (tasks.c.state == TaskState.QUEUED, due)

    def _next_job(self, classes: Collection[str], passed_over: Collection[str]) -> str | None:
        """Return the job to serve next. One index look-up a tenant, however long its queue is."""
        candidates = []
        running = select(func.count()).select_from(tasks)
        running = running.where(tasks.c.tenant_id == tenants.c.id)
        for task_class in sorted(classes):
            oldest = (
                select(tasks.c.job_id)
                .where(tasks.c.tenant_id == tenants.c.id, tasks.c.task_class == task_class)
                .where(*self._claimable(), tasks.c.job_id.not_in(passed_over))
                .order_by(tasks.c.job_id)
                .limit(1)
            )
            query = select(
                oldest.scalar_subquery().label("job_id"),
                running.where(tasks.c.state == TaskState.RUNNING)
                .scalar_subquery()
                .label("running"),
            ).select_from(tenants)
            candidates += [
                (row["running"], row["job_id"])
                for row in self._work.rows(query)
                if row["job_id"] is not None
            ]
        return min(candidates)[1] if candidates else None

    def _take(
        self, job: LockedJob, classes: Collection[str], worker_id: str, lease_seconds: float
    ) -> Claim | None:
        # Looked up under the job's lock: nobody else can take this job's tasks meanwhile.
        mine = select(tasks).where(
            tasks.c.job_id == job.id, tasks.c.task_class.in_(classes), *self._claimable()
        )
        task = self._work.row(mine.order_by(tasks.c.stage_index, tasks.c.shard).limit(1))
        if task is None or job.state in TERMINAL or end_if_overdue(self._work, job):
            return None
        try:
            inputs = resolve(self._work, job.tenant_id, job.row["kind"], job.row["spec"])
        except InputMissing as missing:
            why = JobFailure.input_failed(f"its {missing} is gone")
            end_job(self._work, job, JobState.FAILED, why)
            return None
        self._lease(task, worker_id, lease_seconds)
        self._start(job, task)
        saved = task["checkpoint_sha256"]
        return Claim(
            lease=Lease(task["id"], task["attempt"] + 1),
            job_id=job.id,
            tenant_id=job.tenant_id,
            kind=job.row["kind"],
            stage=task["stage"],
            shard=task["shard"],
            task_class=task["task_class"],
            spec=job.row["spec"],
            seed=job.row["seed"],
            evaluate=job.row["evaluate"],
            payload=task["payload"],
            checkpoint=Checkpoint(saved, task["checkpoint_step"]) if saved else None,
            earlier=self._earlier(job.id, task["stage_index"]),
            inputs=inputs,
            seconds_left=leases.seconds_left(self._work, job.row["deadline_at"]),
            release_if=job.row["release_if"],
            review=Reviews(self._work).of(job.row),
        )

    def _lease(self, task: RowMapping, worker_id: str, lease_seconds: float) -> None:
        now = self._work.lease_now()
        claimed = update(tasks).where(
            tasks.c.id == task["id"],
            tasks.c.attempt == task["attempt"],
            tasks.c.state == TaskState.QUEUED,
        )
        met = self._work.run(
            claimed.values(
                state=TaskState.RUNNING,
                attempt=task["attempt"] + 1,
                worker_id=worker_id,
                lease_until=now + lease_seconds,
                lease_boot=self._work.boot_id,
                claimed_clock=now,
                delayed_until=None,
                started_at=func.coalesce(tasks.c.started_at, self._work.now()),
            )
        )
        assert met == 1, "the task's job was not locked"

    def _start(self, job: LockedJob, task: RowMapping) -> None:
        if job.state is JobState.QUEUED:
            started = {"started_at": self._work.now()}
            move(self._work, job, JobState.STARTING, JobState.RUNNING, **started)
        begun = (tasks.c.job_id == job.id, tasks.c.stage_index == task["stage_index"])
        attempts = select(func.sum(tasks.c.attempt)).where(*begun)
        if self._work.scalar(attempts) == 1:  # this claim is the stage's first
            data = {"step": task["stage"], "phase": "began"}
            Events(self._work).append(job.id, "job.step", data)

    def _earlier(self, job_id: str, stage_index: int) -> dict[str, list[dict[str, object]]]:
        done = select(tasks.c.stage, tasks.c.result).where(
            tasks.c.job_id == job_id,
            tasks.c.stage_index < stage_index,
            tasks.c.state == TaskState.SUCCEEDED,
        )
        results: dict[str, list[dict[str, object]]] = {}
        for row in self._work.rows(done.order_by(tasks.c.stage_index, tasks.c.shard)):
            results.setdefault(row["stage"], []).append(row["result"] or {})
        return results
