"""An API over real small servers; on SQLite, and where a test asks for it on PostgreSQL too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.domain.problems import JobFailure
from app.domain.records import ALL_SCOPES
from app.domain.tasks import Effects, NewArtifact, NewModel
from app.main import create_app
from app.queue import Bell
from app.settings import Settings
from app.store.blobs import LocalBlobs
from app.store.database import Store

BOTH_DATABASES = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)

MakeKey = Callable[..., str]


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return url


@pytest.fixture
def api_settings(settings: Settings) -> Settings:
    """Small limits, so that tests can pass them by."""
    return settings.model_copy(
        update={"part_bytes": 1000, "max_upload_bytes": 100_000, "max_body_bytes": 50_000}
    )


@pytest.fixture
def app(api_settings: Settings, store: Store, blobs: LocalBlobs, redis_url: str) -> FastAPI:
    return create_app(api_settings, store=store, blobs=blobs, bell=Bell(redis_url))


@pytest.fixture
def make_key(store: Store, tenant: str) -> MakeKey:
    """Return a maker of keys: ``make_key(scopes=…, tenant_id=…)``."""

    def make(scopes: frozenset[str] = ALL_SCOPES, tenant_id: str = tenant) -> str:
        with store.write() as tx:
            return tx.keys.create(tenant_id, "test", scopes)[1]

    return make


@pytest.fixture
def anonymous(app: FastAPI) -> Iterator[TestClient]:
    """A client without a key."""
    with TestClient(app) as client:
        yield client


@pytest.fixture
def client(anonymous: TestClient, make_key: MakeKey) -> TestClient:
    """A client whose key may do everything."""
    return with_key(anonymous, make_key())


@pytest.fixture
def stranger(app: FastAPI, store: Store, make_key: MakeKey) -> TestClient:
    """A client of another tenant."""
    with store.write() as tx:
        other = tx.tenants.create("other").id
    return with_key(TestClient(app), make_key(tenant_id=other))


def with_key(client: TestClient, secret: str) -> TestClient:
    client.headers["Authorization"] = f"Bearer {secret}"
    return client


def upload(client: TestClient, content: bytes = b"some bytes", name: str = "birds.npz") -> str:
    """Upload a file in parts of 1,000 bytes and return its id."""
    begun = client.post("/v1/uploads", json={"filename": name, "bytes": len(content)})
    assert begun.status_code == 201, begun.text
    upload_id: str = begun.json()["id"]
    for number, start in enumerate(range(0, len(content), 1000), 1):
        part = content[start : start + 1000]
        sent = client.put(f"/v1/uploads/{upload_id}/parts/{number}", content=part)
        assert sent.status_code == 200, sent.text
    completed = client.post(f"/v1/uploads/{upload_id}/complete")
    assert completed.status_code == 200, completed.text
    return upload_id


def dataset(client: TestClient) -> dict[str, str]:
    """Make a dataset that no worker ever ingests."""
    made = client.post("/v1/datasets", json={"upload_ids": [upload(client)]})
    assert made.status_code == 202, made.text
    body: dict[str, str] = made.json()
    return body


MANIFEST = {
    "modality": "embedding",
    "rows": 30,
    "dim": 4,
    "dtype": "float32",
    "classes": ["cat", "dog"],
    "class_counts": {"cat": 20, "dog": 10},
    "splits": {"train": 30, "val": 0, "test": 0, "unassigned": 0},
    "columns": {},
}


def work(store: Store, *effects: Effects) -> str:
    """Claim and end the oldest tasks, one for each of the effects; return the last one's job."""
    job_id = ""
    for effect in effects:
        with store.write() as tx:
            claim = tx.tasks.claim({"cpu", "gpu"}, "tests", 60.0)
            assert claim is not None, "there is nothing to claim"
            job_id = claim.job_id
        with store.write() as tx:
            tx.tasks.succeed(claim.lease, effect)
    return job_id


def ready_dataset(client: TestClient, store: Store) -> str:
    """Make a dataset and play the worker that ingests it."""
    made = dataset(client)
    work(store, Effects(dataset={"manifest": MANIFEST, "stats": {"rejected": []}}))
    return made["id"]


def stored(blobs: LocalBlobs, tenant: str, folder: Path, content: bytes) -> tuple[str, int]:
    """Put bytes into the blob store; return their sha-256 and number."""
    blob = blobs.put_bytes(tenant, content)
    return blob.sha256, blob.bytes


def gelda(dataset_id: str, **fields: Any) -> dict[str, Any]:
    return {"spec": {"kind": "gelda", "dataset": dataset_id, "plan": {"raise_to": 50}}, **fields}


def submit(client: TestClient, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    response = client.post("/v1/jobs", json=body, headers=headers)
    assert response.status_code == 202, response.text
    made: dict[str, Any] = response.json()
    return made


def fail_next(store: Store) -> None:
    with store.write() as tx:
        claim = tx.tasks.claim({"cpu", "gpu"}, "tests", 60.0)
        assert claim is not None
        tx.tasks.fail(claim.lease, JobFailure("No.", code="too_bad"))


@dataclass
class Family:
    """A dataset, a gelda job on it with a generator, and a job that has sampled from that."""

    dataset: str
    ingest: str
    gelda: str
    sample: str
    generator: str

    @property
    def jobs(self) -> list[str]:
        return [self.ingest, self.gelda, self.sample]


@pytest.fixture
def family(client: TestClient, store: Store, blobs: LocalBlobs, tenant: str) -> Family:
    def kept(content: bytes) -> dict[str, Any]:
        return blobs.put_bytes(tenant, content).named

    columns = {"x": {"file": "x.npy", **kept(b"the rows")}}
    made = dataset(client)
    work(store, Effects(dataset={"manifest": MANIFEST | {"columns": columns}}))
    first = submit(client, gelda(made["id"], metadata={"team": "owls"}))["id"]
    config = {"method": "gelda", "class_counts": {"cat": 20, "dog": 10}}
    report = NewArtifact("report.json", media_type="application/json", **kept(b"{}"))
    last = Effects(artifacts=(report,), generator=NewModel({"g": kept(b"weights")}, config))
    work(store, Effects(result={"files": kept(b"shards")}), Effects(), Effects(), last)
    generator = client.get(f"/v1/jobs/{first}").json()["result"]["generator"]
    second = submit(client, sample(generator))["id"]
    rows = NewArtifact("rows.npz", media_type="application/octet-stream", **kept(b"made"))
    work(store, Effects(), Effects(artifacts=(rows,)))
    return Family(made["id"], made["job_id"], first, second, generator)


def sample(generator: str) -> dict[str, Any]:
    return {"spec": {"kind": "sample", "generator": generator, "plan": {"per_class": 5}}}


def delete(client: TestClient, path: str, key: str | None = None, **query: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.delete(path, params=query, headers=headers)
