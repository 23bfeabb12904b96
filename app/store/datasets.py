"""Datasets: made by an ingest job, immutable once ready."""

from typing import Any

from sqlalchemy import RowMapping, bindparam, insert, select, update

from app.domain.problems import NotFound
from app.domain.records import Dataset, DatasetState
from app.store.pages import page
from app.store.tables import datasets
from app.store.work import Work

_ONE = select(datasets).where(
    datasets.c.tenant_id == bindparam("tenant_id"), datasets.c.id == bindparam("dataset_id")
)


class Datasets:
    def __init__(self, work: Work) -> None:
        self._work = work

    def create(
        self, tenant_id: str, name: str, modality: str, format_: str, job_id: str, dataset_id: str
    ) -> Dataset:
        """Make the row of a dataset that ``job_id`` is going to fill."""
        dataset = Dataset(
            id=dataset_id,
            tenant_id=tenant_id,
            name=name,
            modality=modality,
            format=format_,
            state=DatasetState.PROCESSING,
            job_id=job_id,
            created_at=self._work.now(),
        )
        self._work.run(
            insert(datasets).values(
                id=dataset_id,
                tenant_id=tenant_id,
                name=name,
                modality=modality,
                format=format_,
                state=dataset.state,
                job_id=job_id,
                created_at=dataset.created_at,
            )
        )
        return dataset

    def get(self, tenant_id: str, dataset_id: str) -> Dataset | None:
        row = self._work.row(_ONE, tenant_id=tenant_id, dataset_id=dataset_id)
        return _dataset(row) if row else None

    def list(
        self, tenant_id: str, limit: int, after: str | None = None
    ) -> tuple[list[Dataset], bool]:
        """Return a page, newest first, and whether more follow."""
        mine = select(datasets).where(datasets.c.tenant_id == tenant_id)
        rows, has_more = page(self._work, datasets, mine, limit, after)
        return [_dataset(row) for row in rows], has_more

    def rename(self, tenant_id: str, dataset_id: str, name: str) -> Dataset:
        """Change a dataset's name.

        Raises:
            NotFound: the tenant has no such dataset.
        """
        mine = (datasets.c.tenant_id == tenant_id, datasets.c.id == dataset_id)
        self._work.run(update(datasets).where(*mine).values(name=name))
        found = self.get(tenant_id, dataset_id)
        if found is None:
            raise NotFound("dataset")
        return found

    def mark_ready(self, job_id: str, manifest: dict[str, Any], stats: dict[str, Any]) -> str:
        """Fill the dataset that a job makes; returns its id."""
        made = datasets.c.job_id == job_id
        values = {"state": DatasetState.READY, "manifest": manifest, "stats": stats}
        self._work.run(update(datasets).where(made).values(**values))
        return str(self._work.scalar(select(datasets.c.id).where(made)))

    def mark_failed(self, job_id: str, error: dict[str, Any]) -> None:
        """Say why the dataset that a job was making will not be; a ready one stays ready."""
        unmade = (datasets.c.job_id == job_id, datasets.c.state == DatasetState.PROCESSING)
        self._work.run(
            update(datasets).where(*unmade).values(state=DatasetState.FAILED, error=error)
        )


def _dataset(row: RowMapping) -> Dataset:
    return Dataset(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        modality=row["modality"],
        format=row["format"],
        state=DatasetState(row["state"]),
        job_id=row["job_id"],
        created_at=row["created_at"],
        manifest=row["manifest"],
        stats=row["stats"],
        error=row["error"],
    )
