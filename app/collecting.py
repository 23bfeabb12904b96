"""Collecting blobs beside the reconciler: a thread of its own, so that nobody's lease waits for it."""

import logging
import threading
import time

from app.domain.problems import Problem
from app.store.garbage import BlobsTaken, Collector

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0


class Collecting:
    """Rounds of a collector, some time apart.

    Args:
        every_seconds: from the beginning of one to that of the next; a longer round delays the next.
    """

    def __init__(self, collector: Collector, every_seconds: float) -> None:
        self._collector = collector
        self._every_seconds = every_seconds
        self._due = float("-inf")
        self._thread: threading.Thread | None = None

    def begin_if_due(self) -> None:
        """Begin a round, unless one runs or it is too early."""
        if time.monotonic() < self._due or (self._thread and self._thread.is_alive()):
            return
        self._due = time.monotonic() + self._every_seconds
        self._thread = threading.Thread(target=self._round, name="collector", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have a round that runs end early; wait for it, but not for a long look or copy in it.

        It may be cut off anywhere: the role then runs out by itself.
        """
        self._collector.stop()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)

    def _round(self) -> None:
        try:
            done = self._collector.run_once()
        except BlobsTaken as taken:
            log.info("nothing is collected: %s", taken.detail)
        except Problem as problem:
            log.warning("collecting blobs waits: %s", problem.detail)
        except Exception:  # a thread of its own: what it raises nobody else would see
            log.exception("a round of collecting failed; the next one tries again")
        else:
            if done.anything:
                log.info("collected blobs: %s", done)
