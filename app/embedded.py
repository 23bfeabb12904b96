"""The embedded stack: a Redis of its own, migrations, a first key, workers and the API, as one.

`serve` is what `python -m app serve` runs. Everything it keeps lies under one home folder, which
one process at a time may serve; everything it starts ends with it.
"""

import contextlib
import errno
import importlib.util
import json
import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn

from app.bounded_head import BoundedHead
from app.home import first_key, lock_home, migrate, write_private
from app.main import create_app
from app.redis_server import running_redis
from app.settings import Settings
from app.supervisor import Program, StackError, Supervisor

START_SECONDS = 60.0
WORKERS_SECONDS = 10.0
"""How long a service that answers waits for its workers before it says that it is ready."""

TEND_SECONDS = 0.1
LOOK_SECONDS = 0.05
BACKLOG = 2048
API_STOP_SECONDS = 5


class _Stopped(Exception):
    """A signal came while the stack was starting."""


def serve(settings: Settings, *, ready_file: Path | None = None) -> None:
    """Run the whole stack until SIGINT or SIGTERM; a second one does not wait for workers to drain.

    Args:
        settings: ports, home and so on. Redis is started here unless `redis_url` is set.
        ready_file: once ready, ``{"url", "key_file", "pid"}`` is written here; removed at the end.

    Raises:
        StackError: the home is served already, the port is taken, Redis is missing …
    """
    if importlib.util.find_spec("torch") is None:
        raise StackError("workers need the extra `worker`: pip install 'cultivar-server[worker]'")
    signals = _Signals()
    settings = settings.model_copy(update={"home": settings.home.expanduser().absolute()})
    with contextlib.ExitStack() as stack, contextlib.suppress(_Stopped):
        stack.enter_context(signals)
        stack.enter_context(lock_home(settings.home))
        listener = stack.enter_context(_listen(settings.host, settings.port))
        key_file = first_key(settings)
        supervisor = Supervisor()
        stack.callback(supervisor.close)
        if settings.redis_url is None:
            url = stack.enter_context(running_redis(settings.home, supervisor, signals.pause))
            settings = settings.model_copy(update={"redis_url": url})
        url = _url(settings.host, listener.getsockname()[1])
        server = stack.enter_context(_api(settings, listener))
        stack.enter_context(_workers(settings, supervisor, signals))
        _await_ready(url, settings, server, signals)
        if ready_file is not None:
            stack.enter_context(_announced(ready_file, url, key_file))
        print(_greeting(url, key_file, settings.home), flush=True)
        while not signals.stopping.wait(TEND_SECONDS):
            supervisor.tend()
            if not server.is_alive():
                raise StackError("the API ended by itself; the log says why")
        print("Stopping; workers save their work first …", flush=True)


def _greeting(url: str, key_file: Path, home: Path) -> str:
    """Return what `serve` says once it is ready; where nothing is as clients expect, how they find it."""
    usual = Settings.model_fields
    told = {
        "CULTIVAR_URL": (url, _url(usual["host"].default, usual["port"].default)),
        "CULTIVAR_HOME": (str(home), str(usual["home"].default.expanduser().absolute())),
    }
    unusual = [
        f"{name}={shlex.quote(value)}" for name, (value, usual) in told.items() if value != usual
    ]
    lines = [
        "Cultivar is ready.",
        f"  API   {url}   (interactive documentation: {url}/docs)",
        f"  key   {key_file}",
        f"  home  {home}",
    ]
    if unusual:
        lines.append(f"In another shell, for clients to find it:  export {' '.join(unusual)}")
    return "\n".join([*lines, "Ctrl-C stops it."])


def serve_api(settings: Settings) -> None:
    """Run the API alone, in front of a database, a Redis and workers that run elsewhere.

    Raises:
        StackError: the address cannot be listened on, or the API did not start.
    """
    migrate(settings)
    with _listen(settings.host, settings.port) as listener:
        server = uvicorn.Server(uvicorn_config(settings))
        # Ctrl-C: once all is in order, uvicorn raises what it had caught.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        if not server.started:
            raise StackError("the API did not start; the log says why")


class _Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into a flag; the second one means hurry."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.count = 0
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup has the hang-up ignored, and that stays so.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, *_: object) -> None:
        self.count += 1
        self.stopping.set()

    def hurry(self) -> bool:
        return self.count > 1

    def pause(self, seconds: float) -> None:
        """Wait while starting; raise _Stopped as soon as a signal has come."""
        if self.stopping.wait(seconds):
            raise _Stopped


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; whoever connects before the API is up waits in its backlog."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StackError(
                f"port {port} on {host} is taken; name another with --port (0 takes a free one)"
            ) from error
        raise StackError(f"cannot listen on {host}, port {port}: {error}") from error


def _url(host: str, port: int) -> str:
    # Listening on every interface includes the loopback.
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


@contextlib.contextmanager
def _api(settings: Settings, listener: socket.socket) -> Iterator[threading.Thread]:
    """Serve the API from a thread of this process."""
    server = uvicorn.Server(uvicorn_config(settings))
    thread = threading.Thread(target=server.run, args=([listener],), name="api")
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join(2 * API_STOP_SECONDS)


def uvicorn_config(settings: Settings) -> uvicorn.Config:
    """Return how the API is served, embedded or alone."""
    return uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http=BoundedHead,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        # An open event stream must not keep the service from ending.
        timeout_graceful_shutdown=API_STOP_SECONDS,
    )


@contextlib.contextmanager
def _workers(settings: Settings, supervisor: Supervisor, signals: "_Signals") -> Iterator[None]:
    programs = [
        Program(
            f"worker {number}",
            # -P: a folder `workers` or `app` where the user stands is not ours.
            [sys.executable, "-P", "-m", "workers"],
            env=environment(settings),
            stop_seconds=settings.drain_seconds + 5,
        )
        for number in range(settings.workers)
    ]
    try:
        for program in programs:
            supervisor.start(program)
        yield
    finally:
        supervisor.stop(programs, signals.hurry)


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment in which a worker reads the same settings as this process has."""
    given = {
        f"CULTIVAR_{name.upper()}": str(value)
        for name in settings.model_fields_set
        if (value := getattr(settings, name)) is not None
    }
    # A run from a checkout without an installation: the packages beside this one.
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    threads = str(settings.torch_threads)
    quiet = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    return {**quiet, **os.environ, **given, "PYTHONPATH": path}


def _await_ready(
    url: str, settings: Settings, server: threading.Thread, signals: "_Signals"
) -> None:
    """Return when ``/readyz`` says 200 (store and queue answer) and the workers have signed on.

    Workers that take long are not waited for: they are tended, and jobs say that nobody serves them.

    Raises:
        StackError: it does not within a minute, or the API has ended.
    """
    start = time.monotonic()
    end = start + START_SECONDS
    ours = {name.strip() for name in settings.worker_classes.split(",")}
    answer = "no answer"
    # Without the environment's proxies: this is the loopback.
    with httpx.Client(trust_env=False, timeout=5) as client:
        while time.monotonic() < end and server.is_alive():
            with contextlib.suppress(httpx.TransportError):
                response = client.get(f"{url}/readyz")
                awaited = time.monotonic() - start < WORKERS_SECONDS
                if response.is_success and not (
                    awaited and ours & set(response.json()["unserved"])
                ):
                    return
                answer = f"{response.status_code} {response.text[:500]}"
            signals.pause(LOOK_SECONDS)
    if not server.is_alive():
        raise StackError("the API did not start; the log says why")
    raise StackError(f"not ready after {START_SECONDS:g} s; /readyz says: {answer}")


@contextlib.contextmanager
def _announced(ready_file: Path, url: str, key_file: Path) -> Iterator[None]:
    ready_file.parent.mkdir(parents=True, exist_ok=True)
    ready = {"url": url, "key_file": str(key_file), "pid": os.getpid()}
    write_private(ready_file, json.dumps(ready) + "\n")
    try:
        yield
    finally:
        ready_file.unlink(missing_ok=True)
