"""Nothing deletes blobs while a backup needs them: garbage collection and it hold the same role in turn."""

import threading
import time
from types import TracebackType
from typing import Self

from app.backup.findings import Say
from app.backup.folder import BackupError
from app.domain.problems import Problem
from app.store.clock import HostClock
from app.store.database import Store, Transaction
from app.store.garbage import ROLE
from app.store.roles import new_holder

_LEASE_SECONDS = 60.0
_RENEW_SECONDS = 10.0

_LOST = "the database could not be written to for so long that garbage collection may have begun; try again"


class Holding:
    """Holds the role "blobs" of a database, and renews it in a thread until the end.

    Args:
        store: the database.
        say: is told that another holder is waited for.
        patience_seconds: how long another holder is waited for.

    Raises:
        BackupError: another process held it all the time that we waited.
    """

    def __init__(self, store: Store, say: Say, patience_seconds: float = 120.0) -> None:
        self._say = say
        self._patience_seconds = patience_seconds
        self._store = store
        self._clock = HostClock()
        self._name = new_holder()
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._keep, name="role-blobs", daemon=True)

    def __enter__(self) -> Self:
        until = self._clock.seconds() + self._patience_seconds
        told = False
        while not self._hold():
            if not told:
                self._say("waiting for a garbage collection, a backup or a restore to end")
                told = True
            if self._clock.seconds() > until:
                raise BackupError(
                    "another backup, a restore or a garbage collection is at work on these blobs; try again later"
                )
            time.sleep(0.5)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        try:
            with self._store.write() as tx:
                tx.roles.give_up(ROLE, self._name)
        except Problem:
            return  # it runs out by itself

    def check(self) -> None:
        """Raise BackupError where blobs may have been deleted since this began."""
        if self._lost or self._clock.seconds() - self._held_at > _LEASE_SECONDS:
            raise BackupError(_LOST)

    def secure(self, tx: Transaction) -> None:
        """Make sure of the role to the end of a transaction, however long that keeps others from writing."""
        self.check()
        if not tx.roles.hold(ROLE, self._name, _LEASE_SECONDS):
            raise BackupError(_LOST)

    def _hold(self) -> bool:
        asked_at = self._clock.seconds()
        with self._store.write() as tx:
            held = tx.roles.hold(ROLE, self._name, _LEASE_SECONDS)
        if held:
            self._held_at = asked_at
        return held

    def _keep(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            late = self._clock.seconds() - self._held_at > _LEASE_SECONDS
            try:
                # A lease that had run out may have been another's in between, though it is free again.
                self._lost = self._lost or late or not self._hold()
            except Problem:
                continue  # busy, or away for a moment
