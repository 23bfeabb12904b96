"""A small laboratory: jobs of every shape with the records they need, and workers that run them."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.domain.ids import new_id
from app.domain.jobs import Job, NewJob
from app.domain.tasks import Claim, Effects, NewTask
from app.store.blob_files import ASIDE, BlobStore
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.garbage import Collected, Collector
from app.store.tables import blobs as register
from app.store.tables import jobs, tasks, uploads

SHA = "a" * 64
BOTH = ("cpu", "gpu")
DAY = 86400.0
DATA = b"what was stored"
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


@dataclass
class Place:
    """A laboratory with a folder of blobs, in which time can pass."""

    lab: Lab
    blobs: LocalBlobs

    def put(self, data: bytes = DATA) -> str:
        return self.blobs.put_bytes(self.lab.tenant, data).sha256

    def collect(self, blobs: BlobStore | None = None, **how: bool) -> Collected:
        return Collector(self.lab.store, blobs or self.blobs, DAY, "here").run_once(**how)

    def upload(self, data: bytes = DATA) -> str:
        with self.lab.store.write() as tx:
            upload = tx.uploads.create(self.lab.tenant, "a.npz", len(data), None, 1 << 20)
        blob = self.blobs.put_bytes(self.lab.tenant, data)
        with self.lab.store.write() as tx:
            tx.uploads.complete(self.lab.tenant, upload.id, blob.sha256, len(data))
        return upload.id

    def give_up(self, upload_id: str) -> None:
        with self.lab.store.write() as tx:
            assert tx.uploads.delete(self.lab.tenant, upload_id)

    def pass_days(self, days: float = 1.5) -> None:
        """Make everything that has a time older."""
        seconds, root = days * DAY, self.blobs.staging.parent
        for path in root.glob("*/??/*"):
            os.utime(path, (path.stat().st_mtime - seconds,) * 2)
        for path in (root / ASIDE).glob("*/??/*"):
            sha256, _, stamp = path.name.partition(".")
            earlier = int(stamp[:12], 16) - int(seconds * 1000)
            path.rename(path.with_name(f"{sha256}.{earlier:012x}{stamp[12:]}"))
        with self.lab.store.write() as tx:
            for column in (
                register.c.created_at, tasks.c.started_at, jobs.c.ended_at, uploads.c.touched_at
            ):  # fmt: skip
                keys = [*column.table.primary_key]
                for row in tx.rows(select(*keys, column).where(column.is_not(None))):
                    this = [key == row[key.name] for key in keys]
                    earlier_time = row[column.name] - timedelta(seconds=seconds)
                    tx.run(update(column.table).where(*this).values({column: earlier_time}))

    def there(self, sha256: str) -> bool:
        """Whether a blob is under its name; does not bring it back."""
        root = self.blobs.staging.parent
        return (root / self.lab.tenant / sha256[:2] / sha256).is_file()

    def stored_bytes(self) -> int:
        with self.lab.store.read() as tx:
            return tx.blobs.stored_bytes(self.lab.tenant)


@pytest.fixture
def place(lab: Lab, blobs: LocalBlobs) -> Place:
    return Place(lab, blobs)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
