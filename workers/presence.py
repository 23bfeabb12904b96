"""A worker's entry in the register of live workers: made at its start, kept fresh, taken out at its end."""

import logging
import socket
import time

from app.domain.problems import OutOfSpace, Unavailable
from app.store.database import Store
from app.store.workers import SEEN_SECONDS

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


class Presence:
    """Says that the worker lives, when that is due; cheap to ask as often as one likes.

    The register tells people why a job waits; it decides no lease. So nothing here fails a worker.
    """

    def __init__(self, store: Store, worker_id: str, classes: tuple[str, ...]) -> None:
        self._store, self._worker_id, self._classes = store, worker_id, classes
        self._host = socket.gethostname()
        self._due_at = 0.0

    def seconds_left(self) -> float:
        """Return how long until the next word is due; 0 where it is due."""
        return max(0.0, self._due_at - time.monotonic())

    def refresh(self) -> None:
        """Say that the worker lives, where that is due."""
        if self.seconds_left():
            return
        try:
            with self._store.write() as tx:
                tx.workers.seen(self._worker_id, self._classes, self._host)
        except (Unavailable, OutOfSpace) as error:
            log.warning("this worker could not say that it lives (%s)", error.detail)
            self._due_at = time.monotonic() + _RETRY_SECONDS
        else:
            self._due_at = time.monotonic() + SEEN_SECONDS

    def leave(self) -> None:
        """Sign off; without that the register forgets the worker by itself a little later."""
        try:
            with self._store.write() as tx:
                tx.workers.left(self._worker_id)
        except (Unavailable, OutOfSpace) as error:
            log.info("this worker could not sign off (%s)", error.detail)
