"""A small laboratory: jobs of every shape with the records they need, and workers that run them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from app.domain.ids import new_id
from app.domain.jobs import Job, NewJob
from app.domain.tasks import Claim, Effects, NewTask
from app.store.database import Store

SHA = "a" * 64
BOTH = ("cpu", "gpu")
MANIFEST = {"modality": "embedding", "columns": {"x": {"file": "x.npy", "sha256": SHA, "bytes": 7}}}


@dataclass
class Lab:
    store: Store
    tenant: str

    def job(self, kind: str, *, tenant: str | None = None, **fields: Any) -> Job:
        """Make a job of a kind whose inputs exist."""
        spec: dict[str, Any] = {"kind": kind}
        if kind in {"gelda", "glico", "classifier"}:
            spec["dataset"] = self.dataset(tenant)
        if kind == "ingest":
            spec["uploads"] = []
        spec |= fields.pop("spec", {})
        with self.store.write() as tx:
            return tx.jobs.create(NewJob(tenant or self.tenant, kind, spec, seed=1, **fields))

    def dataset(self, tenant: str | None = None) -> str:
        """Make a dataset that is ready, and return its id."""
        tenant, dataset = tenant or self.tenant, new_id("ds")
        with self.store.write() as tx:
            # Made from outside the queue, so that a test's own tasks are the only ones in it.
            job = tx.jobs.create(NewJob(tenant, "ingest", {"uploads": []}, seed=0))
            tx.datasets.create(tenant, "birds", "embedding", "npz", job.id, dataset)
            tx.jobs.request_cancel(tenant, job.id)
            tx.connection.exec_driver_sql(
                f"UPDATE datasets SET state = 'processing' WHERE id = '{dataset}'"
            )
            tx.datasets.mark_ready(job.id, MANIFEST, {"rows": 7})
        return dataset

    def claim(self, *classes: str, worker: str = "w", seconds: float = 30) -> Claim | None:
        with self.store.write() as tx:
            return tx.tasks.claim(classes or BOTH, worker, seconds)

    def claimed(self, *classes: str, seconds: float = 30) -> Claim:
        claim = self.claim(*classes, seconds=seconds)
        assert claim is not None
        return claim

    def succeed(self, claim: Claim, effects: Effects | None = None) -> bool:
        with self.store.write() as tx:
            return tx.tasks.succeed(claim.lease, effects or Effects())

    def cancel(self, job_id: str) -> Job:
        with self.store.write() as tx:
            job = tx.jobs.request_cancel(self.tenant, job_id)
        assert job is not None
        return job

    def see(self, job_id: str) -> Job:
        with self.store.read() as tx:
            job = tx.jobs.get(self.tenant, job_id)
        assert job is not None
        return job

    def events(self, job_id: str) -> list[str]:
        with self.store.read() as tx:
            return [event.type for event in tx.events.page(self.tenant, job_id, 0, 1000)[0]]

    def train(self, prepare: Claim) -> None:
        """End the preparation of a `gelda` job with one layer, and its training."""
        self.succeed(prepare, Effects(plan=(NewTask("train", 0, {"layer": 0}),)))
        self.succeed(self.claimed())

    def gelda_in_shards(self, shards: int) -> tuple[Job, list[Claim]]:
        """Make a `gelda` job, run it up to its sampling, and claim all of that stage's shards."""
        job = self.job("gelda")
        self.train(self.claimed())
        plan = tuple(NewTask("sample", number, {"items": [number]}) for number in range(shards))
        self.succeed(self.claimed(), Effects(plan=plan))
        return job, [self.claimed("gpu") for _ in range(shards)]


@pytest.fixture
def lab(store: Store, tenant: str) -> Lab:
    return Lab(store, tenant)


@pytest.fixture
def make_lab() -> Callable[[Store], Lab]:
    """For tests that bring a store of their own, e.g. on a clock that they turn."""

    def make(store: Store) -> Lab:
        store.migrate()
        with store.write() as tx:
            return Lab(store, tx.tenants.create("tenant").id)

    return make
