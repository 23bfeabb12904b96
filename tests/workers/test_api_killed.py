"""The API is killed, or its database kept busy, at the worst of times: nobody loses what was acknowledged."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from app.domain.jobs import JobState
from app.domain.records import ALL_SCOPES
from app.settings import Settings
from app.store.database import BUSY_SECONDS
from tests.conftest import at_home
from tests.sweep.api_process import Api
from tests.workers.conftest import PATIENCE_SECONDS, opened

if TYPE_CHECKING:
    from tests.workers.conftest import Service

MIB = 1 << 20
StartApi = Callable[..., Api]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Service]:
    """One whose worker does not look at the database unless it is rung; its torch is loaded once."""
    service = opened(at_home(tmp_path_factory.mktemp("service"), redis_server))
    service.worker(poll_seconds=600, lease_seconds=30)
    yield service
    service.close()


def warm_child(service: Service) -> psutil.Process:
    child = service.until(lambda: service.workers[0].child, bool, PATIENCE_SECONDS)
    assert child is not None
    return child


@pytest.fixture
def key(service: Service) -> str:
    with service.store.write() as tx:
        return tx.keys.create(service.tenant, "test", ALL_SCOPES)[1]


@pytest.fixture
def start_api(service: Service, key: str) -> Iterator[StartApi]:
    """Starts APIs that reconcile nothing: what becomes of their work is for others to see to."""
    started: list[Api] = []

    def make(failpoint: str | None = None) -> Api:
        settings: Settings = service.settings.model_copy(
            update={"reconcile_seconds": 3600.0, "part_bytes": 2 * MIB}
        )
        started.append(Api(settings, key, failpoint))
        return started[-1]

    yield make
    for one in started:
        one.kill()


def test_an_api_killed_in_the_middle_of_a_part_shows_nothing_of_it_and_the_upload_is_resumed(
    service: Service, start_api: StartApi
) -> None:
    api, there = start_api(), published(service)
    content = bytes(range(256)) * (4 * MIB // 256)
    begun = api.http.post("/v1/uploads", json={"filename": "birds.npz", "bytes": len(content)})
    address = f"/v1/uploads/{begun.json()['id']}"
    first, second = content[: 2 * MIB], content[2 * MIB :]
    assert api.http.put(f"{address}/parts/1", content=first).status_code == 200
    staging = service.blobs.staging / "uploads"
    with half_sent(api, f"{address}/parts/2", second):
        service.until(lambda: sizes(staging, "*.partial"), lambda s: max(s, default=0) > 0, 60)
        api.kill()
    assert published(service) == there
    again = start_api()
    shown = again.http.get(address).json()
    assert (shown["state"], [part["number"] for part in shown["parts"]]) == ("receiving", [1])
    assert again.http.put(f"{address}/parts/2", content=second).status_code == 200
    complete = again.http.post(f"{address}/complete").raise_for_status().json()
    assert complete["sha256"] == hashlib.sha256(content).hexdigest()
    assert sizes(staging, "*") == [], "what the killed one had received is gone with the rest"
    assert published(service) == there | {complete["sha256"]}


def half_sent(api: Api, path: str, body: bytes) -> closing[socket.socket]:
    """Send a part's head and more than half of its bytes; return the connection."""
    url = api.http.base_url
    connection = socket.create_connection((url.host, url.port or 0), timeout=60)
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: {api.http.headers['Authorization']}\r\n\r\n"
    )
    connection.sendall(head.encode() + body[: len(body) * 3 // 4])
    return closing(connection)


def published(service: Service) -> set[str]:
    return {one.sha256 for one in service.blobs.stored(service.tenant)}


def sizes(folder: Path, pattern: str) -> list[int]:
    return [path.stat().st_size for path in folder.glob(f"*/*/{pattern}") if path.is_file()]


def test_a_database_kept_busy_gives_503_and_then_everything_happens_once(
    service: Service, start_api: StartApi, latents: Callable[..., bytes]
) -> None:
    """The lock is held for longer than anybody waits, while a worker would end its task."""
    api = start_api()
    child = warm_child(service)
    child.suspend()  # so that the task ends once the lock is held
    _, job = service.dataset(latents())
    service.until(lambda: service.get(job).started_at, bool, PATIENCE_SECONDS)
    body = {"filename": "busy.npz", "bytes": 10}
    with closing(sqlite3.connect(service.settings.home / "cultivar.db")) as connection:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 60000")
        connection.execute("BEGIN IMMEDIATE")
        child.resume()
        refused = api.http.post("/v1/uploads", json=body)
        connection.execute("ROLLBACK")
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.elapsed.total_seconds() >= BUSY_SECONDS - 1
    assert api.http.post("/v1/uploads", json=body).status_code == 201
    with service.store.read() as tx:
        rows = tx.connection.exec_driver_sql("SELECT filename FROM uploads").scalars().all()
    assert rows.count("busy.npz") == 1
    assert service.wait(job).state is JobState.SUCCEEDED
    events = service.events(job)
    assert events.count("job.succeeded") == 1
    assert "job.requeued" not in events
