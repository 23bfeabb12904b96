"""Tenants: whose things are whose."""

from sqlalchemy import RowMapping, bindparam, insert, select

from app.domain.ids import new_id
from app.domain.problems import Conflict, NotFound
from app.domain.records import Tenant
from app.store.tables import tenants
from app.store.work import Work

_THIS = select(tenants.c.id).where(tenants.c.id == bindparam("tenant_id"))
_NAMING = _THIS.with_for_update(read=True)
_ALONE = _THIS.with_for_update(key_share=True)


class Tenants:
    def __init__(self, work: Work) -> None:
        self._work = work

    def create(self, name: str) -> Tenant:
        """Make a tenant.

        Raises:
            Conflict: the name is taken.
        """
        if self.by_name(name):
            raise Conflict(f"There is a tenant named {name!r} already.", param="name")
        tenant = Tenant(id=new_id("ten"), name=name, created_at=self._work.now())
        self._work.run(
            insert(tenants).values(id=tenant.id, name=name, created_at=tenant.created_at)
        )
        return tenant

    def get(self, tenant_id: str) -> Tenant:
        row = self._work.row(select(tenants).where(tenants.c.id == tenant_id))
        if row is None:
            raise NotFound("tenant")
        return _tenant(row)

    def by_name(self, name: str) -> Tenant | None:
        row = self._work.row(select(tenants).where(tenants.c.name == name))
        return _tenant(row) if row else None

    def list(self) -> list[Tenant]:
        """Return all tenants, oldest first."""
        return [_tenant(row) for row in self._work.rows(select(tenants).order_by(tenants.c.id))]

    def naming(self, tenant_id: str) -> None:
        """Keep what this transaction is about to name from being deleted; its first lock.

        Many may name at once. Workers need none of this: what they make is named with their job.
        """
        self._work.lock(_NAMING, tenant_id=tenant_id)

    def alone(self, tenant_id: str) -> None:
        """Wait for those who are `naming`, and keep others from it until this transaction ends."""
        self._work.lock(_ALONE, tenant_id=tenant_id)


def _tenant(row: RowMapping) -> Tenant:
    return Tenant(id=row["id"], name=row["name"], created_at=row["created_at"])
