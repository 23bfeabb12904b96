"""Events: what happened to a job, in order, kept for whoever asks later."""

from typing import Any

from sqlalchemy import insert, select, update

from app.domain.records import Event
from app.store.tables import events, jobs
from app.store.work import Work

FIRST = 1
"""The number of a job's first event, and its version then."""


class Events:
    def __init__(self, work: Work) -> None:
        self._work = work

    def append(self, job_id: str, type_: str, data: dict[str, Any] | None = None) -> int:
        """Add an event and return its number, which is the job's new version.

        The update locks the job's row until the transaction ends, so numbers become visible in order:
        a reader that has seen 7 will not meet a 6 later.
        """
        bump = update(jobs).where(jobs.c.id == job_id).values(version=jobs.c.version + 1)
        seq = int(self._work.scalar(bump.returning(jobs.c.version)))
        self._work.run(
            insert(events).values(
                job_id=job_id, seq=seq, type=type_, data=data or {}, created_at=self._work.now()
            )
        )
        return seq

    def first(self, job_id: str, type_: str, data: dict[str, Any]) -> None:
        """Add the event of a job that is being made, whose version is FIRST from the start."""
        now = self._work.now()
        event = {"job_id": job_id, "seq": FIRST, "type": type_, "data": data, "created_at": now}
        self._work.insert(events, event)

    def page(self, tenant_id: str, job_id: str, after: int, limit: int) -> tuple[list[Event], bool]:
        """Return up to ``limit`` events numbered above ``after``, oldest first, and whether more follow."""
        query = (
            select(events)
            .join(jobs, jobs.c.id == events.c.job_id)
            .where(jobs.c.tenant_id == tenant_id, events.c.job_id == job_id)
            .where(events.c.seq > after)
            .order_by(events.c.seq)
            .limit(limit + 1)
        )
        found = [
            Event(row["seq"], row["job_id"], row["type"], row["data"], row["created_at"])
            for row in self._work.rows(query)
        ]
        return found[:limit], len(found) > limit
