"""Datasets and the models that jobs leave behind."""

import pytest

from app.domain.jobs import NewJob
from app.domain.problems import NotFound
from app.domain.records import DatasetState
from app.domain.tasks import NewModel
from app.store.database import Store


def test_datasets_are_listed_newest_first_by_page(store: Store, tenant: str) -> None:
    with store.write() as tx:
        job = tx.jobs.create(NewJob(tenant, "ingest", {}, seed=0)).id
        for number in range(3):
            tx.datasets.create(tenant, f"d{number}", "embedding", "npz", job, f"ds_{number}")
        first, more = tx.datasets.list(tenant, 2)
        assert ([d.name for d in first], more) == (["d2", "d1"], True)
        rest, more = tx.datasets.list(tenant, 2, first[-1].id)
        assert ([d.name for d in rest], more) == (["d0"], False)


def test_a_dataset_is_renamed_by_its_own_tenant_only(store: Store, tenant: str) -> None:
    with store.write() as tx:
        job = tx.jobs.create(NewJob(tenant, "ingest", {}, seed=0)).id
        made = tx.datasets.create(tenant, "old", "embedding", "npz", job, "ds_1")
        assert made.state is DatasetState.PROCESSING
        assert tx.datasets.rename(tenant, "ds_1", "new").name == "new"
        other = tx.tenants.create("other").id
        with pytest.raises(NotFound):
            tx.datasets.rename(other, "ds_1", "theirs")
        found = tx.datasets.get(tenant, "ds_1")
        assert found is not None
        assert found.name == "new"


def test_models_are_listed_by_tenant(store: Store, tenant: str) -> None:
    with store.write() as tx:
        other = tx.tenants.create("other").id
        made = []
        for number in range(3):
            job = tx.jobs.create(NewJob(tenant, "ingest", {}, seed=0)).id
            made.append(tx.generators.add(tenant, job, NewModel({}, {"number": number})))
        made.sort()  # ids of one millisecond have no order but their own
        first, more = tx.generators.list(tenant, 2)
        assert ([model.id for model in first], more) == (made[:0:-1], True)
        assert tx.generators.list(other, 2) == ([], False)
        assert tx.generators.get(other, made[0]) is None
        assert tx.generators.by_job(other, job) is None
        assert tx.classifiers.list(tenant, 2) == ([], False)
