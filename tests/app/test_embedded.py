"""The embedded service as its user meets it: real processes, real signals."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from app import health
from app.settings import Settings

START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Stack:
    """A running service."""

    process: subprocess.Popen[bytes]
    home: Path
    url: str
    key: str

    def get(self, path: str, *, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.get(self.url + path, headers=headers, timeout=10, trust_env=False)

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def find(self, word: str) -> psutil.Process:
        """Return the child of the service whose command line holds `word`."""
        children = psutil.Process(self.process.pid).children()
        (found,) = [child for child in children if any(word in part for part in child.cmdline())]
        return found


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "app", "serve", "--home", str(home), *words]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CULTIVAR_")}


def start(home: Path, *words: str) -> Stack:
    ready_file = home.parent / f"{home.name}.ready"
    with (home.parent / f"{home.name}.log").open("ab") as log:
        process = subprocess.Popen(
            command(home, "--port", "0", "--ready-file", str(ready_file), *words),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
        )

    def up() -> bool:
        assert process.poll() is None, Path(log.name).read_text()
        return ready_file.exists()

    assert eventually(up, START_SECONDS), Path(log.name).read_text()
    ready = json.loads(ready_file.read_text())
    assert ready["pid"] == process.pid
    return Stack(process, home, ready["url"], Path(ready["key_file"]).read_text().strip())


@contextlib.contextmanager
def running(home: Path, *words: str) -> Iterator[Stack]:
    stack = start(home, *words)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.process.terminate()
            stack.process.wait(STOP_SECONDS)


def eventually(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return true()


def ended(process: psutil.Process) -> bool:
    """Whether it runs no more; a zombie that nobody has reaped runs no more either."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_serves_with_its_own_key_and_a_signal_ends_all_of_it(
    home: Path, number: signal.Signals
) -> None:
    stack = start(home)
    ready = stack.get("/readyz")
    assert (ready.status_code, ready.json()["unserved"]) == (200, [])
    assert stack.get("/v1/jobs").status_code == 401
    assert stack.get("/v1/jobs", key=stack.key).status_code == 200
    descendants = stack.descendants()
    assert len(descendants) >= 3  # Redis, a worker, the guard, and the worker's own child
    stack.process.send_signal(number)
    assert stack.process.wait(STOP_SECONDS) == 0
    assert all(ended(process) for process in descendants)
    assert not (home.parent / "home.ready").exists()
    assert not (home / "redis" / "redis.sock").exists()


def test_it_says_where_it_is_and_how_clients_find_it(home: Path) -> None:
    log = home.with_suffix(".log")
    with running(home) as stack:
        assert eventually(lambda: "Ctrl-C stops it." in log.read_text())
    said = log.read_text()
    assert f"  API   {stack.url}   (interactive documentation: {stack.url}/docs)" in said
    assert f"export CULTIVAR_URL={stack.url} CULTIVAR_HOME={home}\n" in said


def test_killed_it_leaves_no_process_and_starts_again_with_the_same_key(home: Path) -> None:
    stack = start(home)
    descendants = stack.descendants()
    stack.process.kill()
    stack.process.wait()
    assert eventually(lambda: all(ended(process) for process in descendants), STOP_SECONDS)
    (home.parent / "home.ready").unlink()
    with running(home) as again:
        assert again.key == stack.key
        assert again.get("/v1/jobs", key=again.key).status_code == 200


def test_a_home_is_served_once(home: Path) -> None:
    with running(home) as stack:
        second = subprocess.run(
            command(home, "--port", "0"),
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        assert second.returncode == 1
        assert f"already served by process {stack.process.pid}" in second.stderr
        assert stack.get("/readyz").status_code == 200


def test_what_dies_is_started_again(home: Path) -> None:
    with running(home) as stack:
        for word in ("valkey-server", "workers"):
            victim = stack.find(word)
            victim.kill()

            def replaced(word: str = word, old: int = victim.pid) -> bool:
                try:
                    return stack.find(word).pid != old
                except (ValueError, psutil.NoSuchProcess):
                    return False

            assert eventually(replaced)
        assert eventually(lambda: stack.get("/readyz").status_code == 200)


def test_a_taken_port_is_said_before_anything_is_started(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = subprocess.run(
            command(home, "--port", str(port)),
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
    assert result.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (home / "redis").exists()


def test_a_wrong_setting_is_named(home: Path) -> None:
    result = subprocess.run(
        command(home, "--port", "99999"),
        capture_output=True,
        text=True,
        env=environment() | {"CULTIVAR_LEASE_SECONDS": "soon"},
        check=False,
    )
    assert result.returncode == 1
    assert "CULTIVAR_PORT" in result.stderr
    assert "CULTIVAR_LEASE_SECONDS" in result.stderr
    assert "Traceback" not in result.stderr


def test_health_checks_tell_the_living_from_the_dead(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(home) as stack:
        port = stack.url.rsplit(":", 1)[1]
        monkeypatch.setenv("CULTIVAR_PORT", port)
        assert health.main(["api"]) == 0
        worker = stack.find("workers")
        settings = Settings(redis_url=worker.environ()["CULTIVAR_REDIS_URL"])
        assert eventually(lambda: health.worker_listens(settings))
        monkeypatch.setattr(socket, "gethostname", lambda: "another-host")
        assert not health.worker_listens(settings)
    assert health.main(["api"]) == 1
    assert health.worker_listens(settings)  # a Redis that is away says nothing about workers


def test_the_api_alone_migrates_and_serves(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "app", "api", "--home", str(home), "--port", str(port)],
        env=environment(),
    )
    try:

        def alive() -> bool:
            with contextlib.suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{port}/healthz"
                return httpx.get(url, trust_env=False).status_code == 200
            return False

        assert eventually(alive, START_SECONDS)
        assert (home / "cultivar.db").exists()
    finally:
        process.terminate()
        assert process.wait(STOP_SECONDS) in {0, -signal.SIGTERM}
