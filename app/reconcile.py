"""Puts back what was lost: silent workers' tasks, unheard bells, overdue and canceled jobs."""

import logging
import threading
from datetime import timedelta

from app.collecting import Collecting
from app.domain.problems import Problem
from app.queue import Bell
from app.settings import Settings
from app.store.blob_files import BlobStore
from app.store.database import Store
from app.store.garbage import Collector
from app.store.roles import new_holder

log = logging.getLogger(__name__)

ROLE = "reconciler"
_ROLE_SECONDS = 5.0
_HOUSEKEEPING_ROUNDS = 300
_CANCEL_MARGIN_SECONDS = 2.0
_DEADLINE_GRACE_SECONDS = 10.0
_UPLOAD_KEPT = timedelta(days=1)
_AT_ONCE = 500


class Reconciler:
    """Run it in as many processes as there are: a lease of its own lets one work at a time.

    Args:
        blobs: where blobs that nothing names are collected; without it, none are.
    """

    def __init__(
        self, store: Store, bell: Bell, settings: Settings, blobs: BlobStore | None = None
    ) -> None:
        self._store = store
        self._bell = bell
        self._settings = settings
        self._name = new_holder()
        self._rounds = 0
        self._collecting = blobs and Collecting(
            Collector(store, blobs, settings.collect_grace_seconds, self._name),
            settings.collect_seconds,
        )

    def run_once(self) -> bool:
        """Do one round; False where another process has the role."""
        with self._store.write() as tx:
            # Longer than a round may take by far; shorter than anyone wants to wait for a successor.
            if not tx.roles.hold(
                ROLE, self._name, _ROLE_SECONDS + self._settings.reconcile_seconds
            ):
                return False
        self._expire_leases()
        grace = self._settings.cancel_grace_seconds + _CANCEL_MARGIN_SECONDS
        with self._store.write() as tx:
            tx.jobs.end_canceling(grace)
        with self._store.write() as tx:
            tx.jobs.end_overdue(_DEADLINE_GRACE_SECONDS)
        self._ring()
        if self._rounds % _HOUSEKEEPING_ROUNDS == 0:
            self._clean_up()
        if self._collecting:
            self._collecting.begin_if_due()
        self._rounds += 1
        return True

    def run_forever(self, stop: threading.Event) -> None:
        """Do rounds until told to stop; a database or Redis that is away is waited for."""
        while not stop.wait(self._settings.reconcile_seconds):
            try:
                self.run_once()
            except Problem as problem:
                log.warning("reconciling waits: %s", problem.detail)
            except Exception:  # a thread of its own: what it raises nobody else would see
                log.exception("a round of reconciling failed; the next one tries again")
        if self._collecting:
            self._collecting.end()
        try:
            with self._store.write() as tx:
                tx.roles.give_up(ROLE, self._name)
        except Problem:
            log.info("the role of reconciler will run out by itself")

    def _expire_leases(self) -> None:
        """One task a transaction: no job is kept locked while another one is dealt with."""
        for _ in range(_AT_ONCE):
            with self._store.write() as tx:
                if not tx.tasks.expire_leases(self._settings.max_crashes, limit=1):
                    return

    def _ring(self) -> None:
        """Ring for tasks that wait while no wake-up does."""
        with self._store.read() as tx:
            queued = tx.tasks.queued_by_class()
        waiting = self._bell.depth() if queued else None
        if waiting is None:
            return
        for task_class, tasks in queued.items():
            if not waiting.get(task_class, 0):
                self._bell.ring(task_class, tasks)

    def _clean_up(self) -> None:
        with self._store.write() as tx:
            tx.idempotency.purge()
            tx.workers.purge()
        with self._store.write() as tx:
            # Parts on disk are the API's: it removes those whose upload is gone.
            for upload in tx.uploads.stale(tx.now() - _UPLOAD_KEPT):
                tx.uploads.delete(upload.tenant_id, upload.id)
