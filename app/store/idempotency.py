"""Idempotency keys: a repeated request gets the first one's answer, for a day."""

from datetime import timedelta
from typing import Literal

from sqlalchemy import ColumnElement, delete, select, update

from app.store.tables import idempotency
from app.store.work import Work

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=5)
"""A request still in flight after this long has died with its process; its key is free again."""

Found = (
    tuple[Literal["new"]]
    | tuple[Literal["replay"], int, dict[str, str], bytes]
    | tuple[Literal["in_flight"]]
    | tuple[Literal["reused"]]
)


class Idempotency:
    def __init__(self, work: Work) -> None:
        self._work = work

    def begin(self, tenant_id: str, key: str, fingerprint: str) -> Found:
        """Take a key for a request, or say what became of the request that has it.

        Where `begin`, the effect and `finish` are one transaction, a second request of the same key waits
        for it and replays its answer; `in_flight` is seen only where they are several.

        ``fingerprint`` is a hash of method, path and body; a key with another one is ``reused``.
        """
        now = self._work.now()
        values = {"fingerprint": fingerprint, "created_at": now}
        if self._work.insert_unless_there(idempotency, tenant_id=tenant_id, key=key, **values):
            return ("new",)
        row = self._work.row(select(idempotency).where(*_this(tenant_id, key)).with_for_update())
        if row is None:  # purged between the two statements
            return self.begin(tenant_id, key, fingerprint)
        age = now - row["created_at"]
        if age > KEPT or (row["status"] is None and age > ABANDONED):
            anew = {**values, "status": None, "headers": None, "body": None}
            self._work.run(update(idempotency).where(*_this(tenant_id, key)).values(**anew))
            return ("new",)
        if row["fingerprint"] != fingerprint:
            return ("reused",)
        if row["status"] is None:
            return ("in_flight",)
        return ("replay", row["status"], row["headers"], row["body"])

    def finish(
        self, tenant_id: str, key: str, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        """Keep the answer that repetitions get."""
        answer = {"status": status, "headers": headers, "body": body}
        self._work.run(update(idempotency).where(*_this(tenant_id, key)).values(**answer))

    def purge(self) -> int:
        """Forget keys older than a day; returns how many."""
        old = idempotency.c.created_at < self._work.now() - KEPT
        return self._work.run(delete(idempotency).where(old))


def _this(tenant_id: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return (idempotency.c.tenant_id == tenant_id, idempotency.c.key == key)
