"""Services without processes: a database, blobs, and what tenants and workers do with them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.backup.checking import check_backup, check_service
from app.backup.findings import Findings
from app.backup.folder import Folder
from app.backup.restoring import restore_backup
from app.backup.rows import LEFT_OUT
from app.backup.taking import take_backup
from app.domain.ids import new_id
from app.domain.jobs import Job, NewJob
from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Checkpoint, Claim, Effects, NewArtifact, NewModel
from app.store.blobs import BlobStore, LocalBlobs
from app.store.database import Store
from app.store.tables import metadata
from tests.conftest import postgresql_database

Rows = dict[str, list[dict[str, Any]]]


@dataclass
class House:
    """A service: its database, its blobs, and what was said of it."""

    store: Store
    blobs: BlobStore
    said: list[str] = field(default_factory=list)

    def back_up(self, path: Path) -> Findings:
        return take_backup(self.store, self.blobs, Folder(path), self.said.append)

    def restore(self, path: Path) -> Findings:
        return restore_backup(Folder(path), self.store, self.blobs, self.said.append)

    def check(self) -> Findings:
        return check_service(self.store, self.blobs, self.said.append)

    def check_backup(self, path: Path) -> Findings:
        return check_backup(Folder(path), self.said.append)

    def tenant(self, name: str) -> str:
        with self.store.write() as tx:
            return tx.tenants.create(name).id

    def ingest(self, tenant: str, data: bytes = b"some rows") -> Job:
        """Upload a file and ask for its ingest."""
        blob = self.blobs.put_bytes(tenant, data)
        with self.store.write() as tx:
            upload = tx.uploads.create(tenant, "rows ☃.npz", blob.bytes, None, 1 << 20)
            tx.uploads.record_part(tenant, upload.id, 1, blob.bytes, blob.sha256)
            tx.uploads.complete(tenant, upload.id, blob.sha256, blob.bytes)
            job = NewJob(tenant, "ingest", {"kind": "ingest", "uploads": [upload.id]}, seed=2**62)
            made = tx.jobs.create(job)
            tx.datasets.create(tenant, "birds", "embedding", "npz", made.id, new_id("ds"))
        return made

    def claim(self, seconds: float = 30) -> Claim | None:
        with self.store.write() as tx:
            return tx.tasks.claim(("cpu", "gpu"), "w", seconds)

    def claimed(self) -> Claim:
        claim = self.claim()
        assert claim is not None
        return claim

    def checkpoint(self, claim: Claim, data: bytes) -> None:
        sha256 = self.blobs.put_bytes(claim.tenant_id, data).sha256
        with self.store.write() as tx:
            tx.tasks.checkpoint(claim.lease, Checkpoint(sha256, 20))

    def finish(self, claim: Claim, data: bytes = b"what the job made") -> None:
        """Do what a worker does at the end of an ingest: put blobs, then name them in one transaction."""
        blob = self.blobs.put_bytes(claim.tenant_id, data + claim.job_id.encode())
        file = NewArtifact("x.npy", blob.sha256, blob.bytes, "application/octet-stream")
        manifest = {"modality": "embedding", "columns": {"x": {"file": "x.npy", **blob.named}}}
        effects = Effects(
            artifacts=(file,), dataset={"manifest": manifest, "stats": {"mean": 0.1 + 0.2}}
        )
        with self.store.write() as tx:
            tx.tasks.succeed(claim.lease, effects)

    def rows(self) -> Rows:
        """Return all rows but for who does what at this moment."""
        with self.store.read() as tx:
            return {
                table.name: [
                    dict(row) for row in tx.rows(select(table).order_by(*table.primary_key))
                ]
                for table in metadata.sorted_tables
                if table.name not in LEFT_OUT
            }

    def stored(self, tenant: str) -> set[str]:
        return {one.sha256 for one in self.blobs.stored(tenant)}

    def live_in(self) -> str:
        """Leave a row in every table, of two tenants; return the second one's id."""
        self.ingest(self.tenant("other"), b"the other's")
        self.finish(self.claimed())
        tenant = self.tenant("björn")
        making = self.ingest(tenant)
        with self.store.write() as tx:
            tx.keys.create(tenant, "ci", frozenset({"jobs:read"}))
            tx.uploads.create(tenant, "never sent", 10, None, 10)
            tx.idempotency.begin(tenant, "again", "f" * 64)
            tx.idempotency.finish(tenant, "again", 202, {"ETag": '"1"'}, bytes(range(256)))
            (dataset,), _ = tx.datasets.list(tenant, 10)
            # A dependent of what has not ended yet.
            spec = {"kind": "classifier", "dataset": dataset.id, "deep": [{"ü": [1e-300, None]}]}
            cell = {"cell": 'line\nbreak "and" \\ 🦜'}
            tx.jobs.create(
                NewJob(tenant, "classifier", spec, seed=1, metadata=cell, inputs=(making.id,))
            )
        self.finish(self.claimed())
        self._classify(tenant)
        with self.store.write() as tx:
            tx.roles.hold("reconciler", "someone", 30)
            tx.workers.seen("w", ["cpu"], "host")
        return tenant

    def _classify(self, tenant: str) -> None:
        before, after, weights = (
            self.blobs.put_bytes(tenant, data) for data in (b"before", b"after", b"weights")
        )
        pictures = (Picture(one.sha256, one.bytes) for one in (before, after))
        item = ReviewItem("one", "a", "b", None, *pictures, "image/png", "kept")
        model = NewModel({"model.safetensors": weights.named}, {"method": "gelda"})
        for effects in (Effects(review=(item,)), Effects(generator=model, classifier=model)):
            claim = self.claimed()
            with self.store.write() as tx:
                tx.tasks.succeed(claim.lease, effects)


@pytest.fixture
def found_house(tmp_path: Path) -> Iterator[Callable[[str], House]]:
    """Makes services with nothing in them, each on the database of a URL."""
    stores: list[Store] = []

    def found(url: str) -> House:
        store = Store(url)
        stores.append(store)
        store.migrate()
        return House(store, LocalBlobs(tmp_path / f"blobs-{len(stores)}"))

    yield found
    for store in stores:
        store.close()


@pytest.fixture
def house(found_house: Callable[[str], House], database_url: str) -> House:
    """A service with nothing in it, on either database."""
    return found_house(database_url)


@pytest.fixture
def here(found_house: Callable[[str], House], sqlite_url: str) -> House:
    """One on SQLite, where the kind of database makes no difference."""
    return found_house(sqlite_url)


@pytest.fixture
def other_sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'elsewhere.db'}"


@pytest.fixture
def other_postgresql_url(postgres_server: str) -> Iterator[str]:
    with postgresql_database(postgres_server) as url:
        yield url


@pytest.fixture
def elsewhere(found_house: Callable[[str], House], other_sqlite_url: str) -> House:
    """Another one, on SQLite."""
    return found_house(other_sqlite_url)
