"""The register of blobs: what each tenant has stored, and when it was last named."""

from collections.abc import Mapping

from sqlalchemy import func, select

from app.store.tables import blobs
from app.store.work import Work, in_statements


class Register:
    def __init__(self, work: Work) -> None:
        self._work = work

    def add(self, tenant_id: str, sha256: str, size: int) -> None:
        """Note a blob whose bytes are in the blob store."""
        self.add_all(tenant_id, {sha256: size})

    def add_all(self, tenant_id: str, sizes: Mapping[str, int]) -> None:
        """Note many blobs by sha-256, each with its size in bytes.

        The row of one that is known is refreshed, which keeps it, until this transaction ends and a grace
        time longer, from being collected as one that nothing names.
        """
        # Always in this order: transactions that note the same blobs wait for each other, never in a circle.
        for some in in_statements(sorted(sizes.items())):
            now = self._work.now()
            rows = [
                {"tenant_id": tenant_id, "sha256": sha256, "bytes": size, "created_at": now}
                for sha256, size in some
            ]
            self._work.upsert_all(blobs, rows)

    def stored_bytes(self, tenant_id: str) -> int:
        """Return how many bytes a tenant's blobs have together."""
        total = select(func.coalesce(func.sum(blobs.c.bytes), 0))
        return int(self._work.scalar(total.where(blobs.c.tenant_id == tenant_id)))
