"""The register of blobs: what each tenant has stored."""

from sqlalchemy import func, select

from app.store.tables import blobs
from app.store.work import Work


class Register:
    def __init__(self, work: Work) -> None:
        self._work = work

    def add(self, tenant_id: str, sha256: str, size: int) -> None:
        """Note a blob whose bytes are in the blob store; the same again changes nothing."""
        self._work.insert_unless_there(
            blobs, tenant_id=tenant_id, sha256=sha256, bytes=size, created_at=self._work.now()
        )

    def stored_bytes(self, tenant_id: str) -> int:
        """Return how many bytes a tenant's blobs have together."""
        total = select(func.coalesce(func.sum(blobs.c.bytes), 0))
        return int(self._work.scalar(total.where(blobs.c.tenant_id == tenant_id)))
