"""Generators and classifiers: trained models that outlive their job."""

from typing import ClassVar

from sqlalchemy import RowMapping, Table, insert, select

from app.domain.ids import new_id
from app.domain.records import Model
from app.domain.tasks import NewModel
from app.store import tables
from app.store.pages import page
from app.store.work import Work


class _Models:
    table: ClassVar[Table]
    prefix: ClassVar[str]

    def __init__(self, work: Work) -> None:
        self._work = work

    def add(self, tenant_id: str, job_id: str, model: NewModel) -> str:
        """Make the row of a model whose files are in the blob store; returns its id."""
        model_id = new_id(self.prefix)
        self._work.run(
            insert(self.table).values(
                id=model_id,
                tenant_id=tenant_id,
                job_id=job_id,
                files=model.files,
                config=model.config,
                created_at=self._work.now(),
            )
        )
        return model_id

    def get(self, tenant_id: str, model_id: str) -> Model | None:
        row = self._work.row(
            select(self.table).where(
                self.table.c.tenant_id == tenant_id, self.table.c.id == model_id
            )
        )
        return _model(row) if row else None

    def by_job(self, tenant_id: str, job_id: str) -> Model | None:
        """Return the one that a job made, if it did."""
        row = self._work.row(
            select(self.table).where(
                self.table.c.tenant_id == tenant_id, self.table.c.job_id == job_id
            )
        )
        return _model(row) if row else None

    def list(
        self, tenant_id: str, limit: int, after: str | None = None
    ) -> tuple[list[Model], bool]:
        """Return a page, newest first, and whether more follow."""
        mine = select(self.table).where(self.table.c.tenant_id == tenant_id)
        rows, has_more = page(self._work, self.table, mine, limit, after)
        return [_model(row) for row in rows], has_more


class Generators(_Models):
    table, prefix = tables.generators, "gen"


class Classifiers(_Models):
    table, prefix = tables.classifiers, "cls"


def _model(row: RowMapping) -> Model:
    return Model(
        id=row["id"],
        tenant_id=row["tenant_id"],
        job_id=row["job_id"],
        files=row["files"],
        config=row["config"],
        created_at=row["created_at"],
    )
