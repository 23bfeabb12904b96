"""The parent: claims one task after the other and sees each to its end. Never imports torch."""

import logging
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from app.domain.ids import new_id
from app.domain.problems import OutOfSpace, Unavailable
from app.domain.tasks import Claim
from app.queue import Bell
from app.settings import Settings
from app.store.database import Store
from workers.alarm import Alarm
from workers.presence import Presence
from workers.runner import ChildDied, Runner
from workers.scratch import Scratch
from workers.supervision import Supervision
from workers.tasks import on_wake

log = logging.getLogger(__name__)


class Parent:
    """A worker's main loop. Everything else in the process only rings its alarm.

    Attributes:
        worker_id: as it stands in the rows of the tasks it claims.
    """

    def __init__(
        self,
        store: Store,
        bell: Bell,
        settings: Settings,
        *,
        classes: tuple[str, ...],
        scratch: Path,
    ) -> None:
        self.worker_id = new_id("worker")
        self._bell = bell
        self._scratch_root = scratch
        # Ringing waits for Redis; the parent waits for nobody but the database.
        self._bell_ringer = ThreadPoolExecutor(1, "bell-ringer")
        self._store, self._settings, self._classes = store, settings, classes
        self._presence = Presence(store, self.worker_id, classes)
        self._alarm = Alarm()
        self._runner = Runner(settings)
        self._drain = False
        on_wake(self._alarm.ring)

    def install_signals(self) -> None:
        """SIGTERM and Ctrl-C: save a checkpoint, give the task back, end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_end)

    def _told_to_end(self, _number: int, _frame: FrameType | None) -> None:
        self.drain()

    def drain(self) -> None:
        """Claim nothing more; let the running task save itself and be released."""
        self._drain = True
        self._alarm.ring()

    def run(self, *, burst: bool = False) -> int:
        """Work until told to end, or with `burst` until there is nothing to do; return the tasks run."""
        scratch = Scratch(self._scratch_root, self.worker_id)
        ran = 0
        try:
            while not self._drain:
                self._presence.refresh()
                if not self._have_child():
                    self._rest()
                    continue
                claim = self._claim()
                if claim is not None:
                    self._supervise(claim, scratch)
                    ran += 1
                elif burst:
                    break
                else:
                    self._rest()
        finally:
            self._bell_ringer.shutdown(wait=False, cancel_futures=True)
            self._runner.kill()
            scratch.close()
            self._presence.leave()  # last: it waits for a database that may not answer
        return ran

    def _have_child(self) -> bool:
        """Return whether a child stands ready to be fed; one that dies at birth is tried again later."""
        try:
            self._runner.ensure()
        except ChildDied:
            log.warning("a new child died at once; the next is tried in a moment")
            return False
        return True

    def _rest(self) -> None:
        """Wait for the alarm, or until the next look is due, and go on saying that this worker lives."""
        until = time.monotonic() + self._settings.poll_seconds
        while (left := until - time.monotonic()) > 0:
            if self._alarm.wait(min(left, self._presence.seconds_left())):
                return
            self._presence.refresh()

    def _ring_others(self, task_class: str, times: int) -> None:
        """Wake other workers for tasks that became claimable; this one looks by itself."""
        self._bell_ringer.submit(self._bell.ring, task_class, times)

    def _claim(self) -> Claim | None:
        self._alarm.silence()  # before the look, so that a ring during it leads to another look
        try:
            with self._store.write() as tx:
                return tx.tasks.claim(self._classes, self.worker_id, self._settings.lease_seconds)
        except (Unavailable, OutOfSpace) as error:
            log.warning("the database does not answer (%s)", error.detail)
            return None

    def _supervise(self, claim: Claim, scratch: Scratch) -> None:
        began = time.monotonic()
        task = f"{claim.kind}.{claim.stage}[{claim.shard}] of {claim.job_id}"
        log.info("%s: attempt %d", task, claim.lease.attempt)
        with scratch.folder(f"{claim.lease.task_id}-{claim.lease.attempt}") as folder:
            Supervision(
                self._store,
                self._runner,
                self._settings,
                claim,
                alarm=self._alarm,
                presence=self._presence,
                draining=lambda: self._drain,
                ring=self._ring_others,
            ).run(str(folder))
        log.info("%s: left after %.2f s", task, time.monotonic() - began)
