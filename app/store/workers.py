"""The register of live workers: who serves which classes, by the lease clock."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, not_, select, update

from app.store.tables import workers
from app.store.work import Work

SEEN_SECONDS = 5.0
"""How often a worker says that it lives."""

SILENT_SECONDS = 3 * SEEN_SECONDS
"""A worker that has said nothing for so long does not count as serving."""


def _seen_since(since: Any, boot: Any) -> ColumnElement[bool]:
    # Seconds of another boot say nothing: the worker died with it.
    return and_(workers.c.seen_clock > since, workers.c.seen_boot == boot)


_LIVE = select(workers.c.classes).where(_seen_since(bindparam("since"), bindparam("boot")))


class Workers:
    def __init__(self, work: Work) -> None:
        self._work = work

    def seen(self, worker_id: str, classes: Collection[str], host: str) -> None:
        """Note that a worker lives; it is taken up, or up again, where it is not in the register."""
        said = {
            "classes": sorted(classes),
            "host": host,
            "seen_clock": self._work.lease_now(),
            "seen_boot": self._work.boot_id,
        }
        if not self._work.run(update(workers).where(workers.c.id == worker_id).values(**said)):
            started = self._work.now()
            self._work.insert_unless_there(workers, id=worker_id, started_at=started, **said)

    def left(self, worker_id: str) -> None:
        """Take a worker that ends out of the register."""
        self._work.run(delete(workers).where(workers.c.id == worker_id))

    def served(self, within_seconds: float = SILENT_SECONDS) -> set[str]:
        """Return the classes of workers that were seen so lately."""
        return set(self.count_by_class(within_seconds))

    def count_by_class(self, within_seconds: float = SILENT_SECONDS) -> dict[str, int]:
        """Return how many workers serve each class; a class that nobody serves is left out."""
        live = self._work.rows(
            _LIVE, since=self._work.lease_now() - within_seconds, boot=self._work.boot_id
        )
        return dict(Counter(name for row in live for name in row["classes"]))

    def purge(self, silent_seconds: float = SILENT_SECONDS) -> int:
        """Forget workers that died without leaving; returns how many.

        One that was only paused is taken up again when it next says that it lives.
        """
        since, boot = self._work.lease_now() - silent_seconds, self._work.boot_id
        return self._work.run(delete(workers).where(not_(_seen_since(since, boot))))
