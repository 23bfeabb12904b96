"""Processes of the service, as benchmarks and tests start, find and stop them."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import psutil

START_SECONDS, STOP_SECONDS = 150.0, 30.0
_LOOK_SECONDS = 0.02


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Return this process's environment with these settings of the service, and no others.

    Settings of the service that runs here for real must not reach one that is tried.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CULTIVAR_")}
    return kept | {f"CULTIVAR_{name.upper()}": str(value) for name, value in settings.items()}


def free_port() -> int:
    """Return a port of the loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def api_process(environment: Mapping[str, str], log: Path) -> Iterator[tuple[int, int]]:
    """Run `python -m app api`; yield its port and its process once it answers.

    Raises:
        SystemExit: it does not start; its last words are told.
    """
    port = free_port()
    command = [sys.executable, "-P", "-m", "app", "api", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                last = log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"The API did not start.\n{last}")
            time.sleep(_LOOK_SECONDS)
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    return False


def warm_child(worker: int) -> psutil.Process | None:
    """Return the warm child of a worker's process, if there is one now."""
    with suppress(psutil.NoSuchProcess):  # one that dies while it is looked at
        for process in psutil.Process(worker).children():
            if "workers.child" in process.cmdline():
                return process
    return None


def stop(pid: int) -> None:
    """SIGSTOP to a process of ours; returns once no thread of it runs any more, or it has ended."""
    os.kill(pid, signal.SIGSTOP)
    # WNOWAIT: only looked at, so that the status stays there for whoever has started it.
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def between_transactions(
    database: Path, pause: Callable[[], object], resume: Callable[[], object]
) -> None:
    """Pause a process outside of any transaction: in one it would hold SQLite's lock, and everybody up.

    The look for the lock does not wait as the store would: the process's child goes on meanwhile, and might be
    at its end before the next try.

    Args:
        database: an SQLite's file.
        pause: stops all of the process's threads.
        resume: lets them go on.
    """
    while True:
        pause()
        with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                resume()
            else:
                connection.execute("ROLLBACK")
                return
        time.sleep(_LOOK_SECONDS)
