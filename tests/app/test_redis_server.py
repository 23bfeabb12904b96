"""The embedded stack's own Redis: real, private, restarted, and gone when it is told to go."""

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from app import redis_server
from app.redis_server import RedisFailed, RedisMissing, running_redis
from app.supervisor import Supervisor


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()


def test_it_answers_on_a_socket_that_only_its_owner_can_open(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    with running_redis(tmp_path, supervisor, time.sleep) as url:
        client = redis.Redis.from_url(url)
        assert client.ping()
        socket = Path(client.connection_pool.connection_kwargs["path"])
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("port") == {"port": "0"}
        client.close()
    assert not socket.exists()


def test_a_killed_one_comes_back_with_its_data(tmp_path: Path, supervisor: Supervisor) -> None:
    with running_redis(tmp_path, supervisor, time.sleep) as url:
        client = redis.Redis.from_url(url)
        client.set("kept", "yes")
        time.sleep(1.5)  # it syncs its file once a second
        os.kill(supervisor.pids()["redis"], signal.SIGKILL)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            supervisor.tend()
            try:
                assert client.get("kept") == b"yes"
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        else:
            pytest.fail("Redis was not started again")
        client.close()


def test_a_home_with_a_long_path_gets_a_shorter_socket(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    home = tmp_path / ("x" * 60) / ("y" * 60)
    home.mkdir(parents=True)
    with running_redis(home, supervisor, time.sleep) as url:
        client = redis.Redis.from_url(url)
        assert client.ping()
        folder = Path(client.connection_pool.connection_kwargs["path"]).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        client.close()
    assert not folder.exists()


def test_one_that_cannot_start_is_reported_with_its_last_words(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    folder = tmp_path / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text("nonsense\n")
    with (
        pytest.raises(RedisFailed, match="may be deleted"),
        running_redis(tmp_path, supervisor, time.sleep),
    ):
        pass


def test_without_any_redis_the_ways_to_get_one_are_named(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "get_binary_path", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(RedisMissing, match="CULTIVAR_REDIS_URL"),
        running_redis(tmp_path, supervisor, time.sleep),
    ):
        pass
