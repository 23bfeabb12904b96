"""One task under watch: lease, progress, cancel, limits; and how each way to end is written down."""

import enum
import logging
import time
from collections.abc import Callable

from app.domain.problems import JobFailure, OutOfSpace, Unavailable
from app.domain.tasks import Checkpoint, Claim, LeaseLost
from app.settings import Settings
from app.store.database import Store, Transaction
from workers.alarm import Alarm
from workers.messages import OUT_OF_MEMORY, Checkpointed, Done, Failed, Outcome, Progress, Retry
from workers.presence import Presence
from workers.runner import ChildDied, Runner

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_LOOK_SECONDS = 1.0
"""Between looks at the job's cancel flag, and between writes of progress."""

_TERMINATED_SECONDS = 1.0
"""Between SIGTERM and SIGKILL of the child."""

_RETRY_SECONDS = 5.0
"""Before a task is tried again that met a full disk or a store that did not answer."""

_LAST_WORD_SECONDS = 3.0
"""How long a worker that is told to end waits for a database that does not answer."""

_BUG = Failed("internal_error", "The service met an error of its own; its log has it.")


class Reason(enum.Enum):
    """Why the parent wants a task to stop."""

    CANCEL = enum.auto()
    DRAIN = enum.auto()
    DEADLINE = enum.auto()
    NO_PROGRESS = enum.auto()
    LEASE_LOST = enum.auto()


class Supervision:
    """Sees one claimed task to its end. Every write names the lease; LeaseLost ends the matter."""

    def __init__(
        self,
        store: Store,
        runner: Runner,
        settings: Settings,
        claim: Claim,
        *,
        alarm: Alarm,
        presence: Presence,
        draining: Callable[[], bool],
        ring: Callable[[str, int], object],
    ) -> None:
        self._store, self._runner, self._settings = store, runner, settings
        self._claim, self._alarm, self._draining, self._ring = claim, alarm, draining, ring
        self._presence = presence
        now = time.monotonic()
        self._reason: Reason | None = None
        self._asked_at = self._terminated_at = 0.0
        self._renewed_at = self._looked_at = self._written_at = now
        self._moved_at = now
        self._progress: Progress | None = None
        self._unwritten: Progress | None = None
        self._checkpoint: Checkpoint | None = None
        self._ends_at = None if claim.seconds_left is None else now + claim.seconds_left

    def run(self, scratch: str) -> None:
        """Hand the task to the child and return when its end is in the database, or not ours."""
        outcome: Outcome | None = None
        try:
            self._runner.run(self._claim, scratch)
            while outcome is None:
                outcome = self._hear()
                if outcome is None:
                    self._watch()
        except ChildDied:
            self._runner.kill()
        if self._reason is not Reason.LEASE_LOST:
            self._settle(outcome)
        if isinstance(outcome, Retry) and outcome.reason == OUT_OF_MEMORY:
            self._runner.kill()  # it ends by itself, too; here so that the next task has a fresh one

    # Listening.

    def _hear(self) -> Outcome | None:
        message = self._runner.wait(self._alarm, _TICK_SECONDS)
        if isinstance(message, Progress):
            if self._progress is None or message.value > self._progress.value:
                self._moved_at = time.monotonic()
            self._progress = self._unwritten = message
        elif isinstance(message, Checkpointed):
            self._checkpoint = message.checkpoint
            self._moved_at = time.monotonic()
        elif message is not None:
            return message
        return None

    # Watching.

    def _watch(self) -> None:
        now = time.monotonic()
        try:
            self._write_due(now)
        except LeaseLost:
            self._stop(Reason.LEASE_LOST)
        except (Unavailable, OutOfSpace) as error:
            log.warning("the database does not answer (%s); the task goes on", error.detail)
        if self._draining():
            self._stop(Reason.DRAIN)
        if self._ends_at is not None and now >= self._ends_at:
            self._stop(Reason.DEADLINE)
        if now - self._moved_at >= self._settings.no_progress_seconds:
            self._stop(Reason.NO_PROGRESS)
        self._press(now)

    def _write_due(self, now: float) -> None:
        """Make the writes and looks whose time has come. Each has its own clock."""
        if self._reason is Reason.LEASE_LOST:
            return
        if now - self._written_at >= _LOOK_SECONDS or self._checkpoint is not None:
            self._written_at = now
            self._write_progress()
        if now - self._renewed_at >= self._settings.heartbeat_seconds:
            self._renewed_at = now
            with self._store.write() as tx:
                renewal = tx.tasks.renew(self._claim.lease, self._settings.lease_seconds)
            left = renewal.seconds_left
            self._ends_at = None if left is None else now + left
            if renewal.cancel_requested:
                self._stop(Reason.CANCEL)
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            with self._store.read() as tx:
                jobs = tx.jobs.many(self._claim.tenant_id, [self._claim.job_id])
            if any(job.cancel_requested for job in jobs):
                self._stop(Reason.CANCEL)
        self._presence.refresh()

    def _write_progress(self) -> None:
        if self._unwritten is None and self._checkpoint is None:
            return
        with self._store.write() as tx:
            self._write_pending(tx)
        self._unwritten = self._checkpoint = None

    def _write_pending(self, tx: Transaction) -> None:
        if self._unwritten is not None:
            tx.tasks.progress(self._claim.lease, self._unwritten.value, self._unwritten.max)
        if self._checkpoint is not None:
            tx.tasks.checkpoint(self._claim.lease, self._checkpoint)

    def _stop(self, reason: Reason) -> None:
        """Ask the child to stop, once; what came first is the reason, unless the lease is lost."""
        if reason is Reason.LEASE_LOST or self._reason is None:
            if self._reason is not reason:
                log.info("job %s, %s: stopping: %s", self._claim.job_id, self._claim.stage, reason)
            if self._reason is None:
                self._asked_at = time.monotonic()
                self._runner.ask_to_stop()
            self._reason = reason

    def _press(self, now: float) -> None:
        """Ask, then SIGTERM, then SIGKILL."""
        if self._reason is None:
            return
        grace = self._settings.cancel_grace_seconds
        if self._reason is Reason.DRAIN:
            grace = self._settings.drain_seconds
        if self._terminated_at and now - self._terminated_at >= _TERMINATED_SECONDS:
            raise ChildDied  # the handler above kills it
        if not self._terminated_at and now - self._asked_at >= grace:
            self._terminated_at = now
            self._runner.terminate()

    # Ending.

    def _settle(self, outcome: Outcome | None) -> None:
        """Write the end, however long the database takes to answer, while the lease is ours."""
        give_up_at: float | None = None
        while True:
            try:
                with self._store.write() as tx:
                    self._end(tx, outcome)
                for task_class, tasks in tx.queued.items():
                    self._ring(task_class, tasks)
            except LeaseLost:
                log.info("job %s: the lease was lost; the result is dropped", self._claim.job_id)
            except (Unavailable, OutOfSpace) as error:
                log.warning("the database does not answer (%s); trying again", error.detail)
                if self._draining():
                    give_up_at = give_up_at or time.monotonic() + _LAST_WORD_SECONDS
                    if time.monotonic() >= give_up_at:
                        return  # the lease runs out, and another worker takes the task over
                time.sleep(_TICK_SECONDS)
                continue
            except Exception:  # a bug of ours: this job fails by it, the worker and others do not
                log.exception("job %s: its end could not be written", self._claim.job_id)
                if outcome == _BUG:
                    return
                outcome = _BUG
                continue
            return

    def _end(self, tx: Transaction, outcome: Outcome | None) -> None:
        """Write how the task ended; `outcome` None means that the child died."""
        lease, tasks = self._claim.lease, tx.tasks
        self._write_pending(tx)
        match outcome, self._reason:
            case _, Reason.CANCEL:
                tasks.cancel(lease)
            case Done(effects), _:
                tasks.succeed(lease, effects)
            case Failed(code, detail, param), _:
                tasks.fail(lease, JobFailure(detail, code=code, param=param))
            case _, Reason.DEADLINE:
                tasks.fail(lease, JobFailure.deadline_exceeded(self._deadline_seconds(tx)))
            case _, Reason.NO_PROGRESS:
                tasks.fail(lease, JobFailure.no_progress(self._settings.no_progress_seconds))
            case Retry() as retry, _:
                self._try_again(tx, retry)
            case _, Reason.DRAIN:
                tasks.release(lease)
            case _:
                tasks.crashed(lease, self._settings.max_crashes)

    def _deadline_seconds(self, tx: Transaction) -> float:
        job = tx.jobs.get(self._claim.tenant_id, self._claim.job_id)
        return (job.deadline_seconds if job is not None else None) or 0.0

    def _try_again(self, tx: Transaction, retry: Retry) -> None:
        lease = self._claim.lease
        if retry.reason != OUT_OF_MEMORY:
            tx.tasks.requeue(lease, retry.reason, delay=_RETRY_SECONDS)
        elif self._claim.payload.get("halvings", 0):
            detail = "Memory did not suffice, at half the batch either."
            tx.tasks.fail(lease, JobFailure(detail, code="gpu_out_of_memory"))
        else:
            tx.tasks.requeue(lease, retry.reason, halve_batch=True)
