"""A service without its API: a store, a Redis, blobs, and real worker processes."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest

from app.domain.ids import new_id
from app.domain.jobs import TERMINAL, Job, NewJob
from app.queue import Bell
from app.settings import Settings
from app.store.blobs import BlobStore, open_blobs
from app.store.database import Store
from benchmarks.processes import warm_child
from models.embeddings.spec import Columns
from models.raw.spec import RawColumns
from tests.conftest import at_home

T = TypeVar("T")

PATIENCE_SECONDS = 150.0
"""How long a test waits for what is sure to come, however busy the machine is."""


def _latents(seed: int = 0, sizes: tuple[int, ...] = (60, 30, 12), dim: int = 8) -> bytes:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.standard_normal((len(y), dim)) + 2.0 * rng.standard_normal((len(sizes), dim))[y]
    file = io.BytesIO()
    names = np.array([f"class {number}" for number in range(len(sizes))])
    np.savez(file, x=x.astype(np.float32), y=y, classes=names)
    return file.getvalue()


@dataclass
class Worker:
    """A worker process and the log it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def child(self) -> psutil.Process | None:
        """Its warm child, if there is one now."""
        return warm_child(self.process.pid)

    @property
    def is_warm(self) -> bool:
        """Whether its child has read torch, which takes seconds; where there is no /proc, whether it is there."""
        child = self.child
        if child is None or not Path("/proc/self/maps").exists():
            return child is not None
        try:
            return "libtorch" in Path(f"/proc/{child.pid}/maps").read_text()
        except OSError:  # it dies while it is looked at
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> float:
        """SIGTERM; return the seconds until it has ended."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        return time.monotonic() - began


@dataclass
class Service:
    """What the API would do, by hand."""

    store: Store
    settings: Settings
    blobs: BlobStore
    tenant: str
    workers: list[Worker] = field(default_factory=list)

    def worker(self, *options: str, **variables: object) -> Worker:
        """Start a worker with these command line options; `variables` are further settings."""
        given = {
            name: getattr(self.settings, name)
            for name in self.settings.model_fields_set
            if getattr(self.settings, name) is not None
        } | variables
        environment = {f"CULTIVAR_{name.upper()}": str(value) for name, value in given.items()}
        log = self.settings.home / f"worker-{len(self.workers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers", *options],
                env=os.environ | environment,
                stderr=file,
                stdout=file,
            )
        self.workers.append(Worker(process, log))
        return self.workers[-1]

    def dataset(
        self, data: bytes, name: str = "data.npz", modality: str = "embedding", **columns: Any
    ) -> tuple[str, str]:
        """Store an upload and ask for its ingest; return dataset and job id."""
        dataset, job = new_id("ds"), new_id("job")
        with self.store.write() as tx:
            upload = tx.uploads.create(self.tenant, name, len(data), None, 1 << 20)
        blob = self.blobs.put_bytes(self.tenant, data)
        with self.store.write() as tx:
            tx.uploads.complete(self.tenant, upload.id, blob.sha256, len(data))
            spec: dict[str, Any] = {
                "kind": "ingest",
                "dataset": dataset,
                "uploads": [upload.id],
                "modality": modality,
                "format": name.rpartition(".")[2],
                "columns": (Columns if modality == "embedding" else RawColumns)(
                    **columns
                ).model_dump(),
            }
            tx.jobs.create(NewJob(self.tenant, "ingest", spec, seed=0), id=job)
            tx.datasets.create(self.tenant, name, modality, spec["format"], job, dataset)
        self.ring("cpu")
        return dataset, job

    def job(self, spec: dict[str, Any], **more: Any) -> str:
        """Ask for a job; return its id."""
        with self.store.write() as tx:
            new = NewJob(self.tenant, spec["kind"], spec, **({"seed": 7} | more))
            job = tx.jobs.create(new).id
        self.ring("cpu", "gpu")
        return job

    def ring(self, *classes: str) -> None:
        bell = Bell(self.settings.redis_url)
        for task_class in classes:
            bell.ring(task_class)

    def get(self, job_id: str) -> Job:
        with self.store.read() as tx:
            job = tx.jobs.get(self.tenant, job_id)
        assert job is not None
        return job

    def wait(self, job_id: str, seconds: float = PATIENCE_SECONDS) -> Job:
        """Return the job once it has ended."""
        return self.until(lambda: self.get(job_id), lambda job: job.state in TERMINAL, seconds)

    def until(self, look: Callable[[], T], is_so: Callable[[T], bool], seconds: float) -> T:
        """Look until it is so; fail with the workers' logs if it never is."""
        end = time.monotonic() + seconds
        while not is_so(found := look()):
            if time.monotonic() > end:
                logs = "\n".join(worker.log.read_text()[-4000:] for worker in self.workers)
                pytest.fail(f"after {seconds} s still {found}\n{logs}")
            time.sleep(0.03)
        return found

    def events(self, job_id: str) -> list[str]:
        """Return the types of a job's events, in order."""
        with self.store.read() as tx:
            page, _ = tx.events.page(self.tenant, job_id, 0, 1000)
        return [event.type for event in page]

    def artifacts(self, job_id: str) -> dict[str, str]:
        """Return name → sha-256 of a job's artifacts."""
        with self.store.read() as tx:
            return {one.name: one.sha256 for one in tx.artifacts.list(self.tenant, job_id)}

    def read(self, job_id: str, name: str) -> bytes:
        sha256 = self.artifacts(job_id)[name]
        return b"".join(self.blobs.open_range(self.tenant, sha256))

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
        self.store.close()


def opened(settings: Settings) -> Service:
    """Return a service with no worker yet; whoever opens it closes it."""
    store = Store(settings.database)
    store.migrate()
    with store.write() as tx:
        tenant = tx.tenants.create("tenant").id
    return Service(store, settings, open_blobs(settings.blobs, settings.home), tenant)


@pytest.fixture
def start(redis_url: str) -> Iterator[Callable[[Settings], Service]]:
    """Makes services with no worker yet; what they started ends with the test."""
    services: list[Service] = []

    def make(settings: Settings) -> Service:
        services.append(opened(settings))
        return services[-1]

    yield make
    for service in services:
        service.close()


@pytest.fixture
def service(start: Callable[[Settings], Service], settings: Settings) -> Service:
    """A service on SQLite."""
    return start(settings)


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Service]:
    """A service on SQLite with a worker, for all tests of a module: torch is loaded once for them."""
    service = opened(at_home(tmp_path_factory.mktemp("at_work"), redis_server))
    service.worker()
    yield service
    service.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Service]:
    """A service on SQLite without a worker, for all tests of a module."""
    service = opened(at_home(tmp_path_factory.mktemp("alone"), redis_server))
    yield service
    service.close()


@pytest.fixture
def on_postgresql(
    start: Callable[[Settings], Service], settings: Settings, postgresql_url: str
) -> Service:
    """A service on PostgreSQL."""
    return start(settings.model_copy(update={"database_url": postgresql_url}))


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The spec of a GeLDA job of under a second; a test adds `dataset`."""
    return {
        "kind": "gelda",
        "denoiser": {"width": 32, "blocks": 1},
        "objective": {"steps": 40, "batch_size": 32, "checkpoint_steps": 20},
        "sampler": {"steps": 4},
        "plan": {"match": "largest"},
        "classifier": {"epochs": 1},
    }


@pytest.fixture
def latents() -> Callable[..., bytes]:
    """Makes npz files of well separated classes, long-tailed."""
    return _latents
