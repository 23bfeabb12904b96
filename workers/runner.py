"""The warm child, as its parent holds it: start, talk, press, kill, replace."""

import logging
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection, wait

from app.domain.tasks import Claim
from app.settings import Settings
from workers.alarm import Alarm
from workers.messages import FromChild, Hello, Run, Stop, receive_in_parent, send_to_child

log = logging.getLogger(__name__)

_CHILD_SETTINGS = {
    "home",
    "blob_url",
    "models",
    "torch_threads",
    "max_array_bytes",
    "decode_memory_bytes",
    "decode_seconds",
    "log_level",
}


class ChildDied(Exception):
    """The child's end of the pipe is closed: it was killed, or it crashed."""


class Runner:
    """At most one child at a time; a dead one is replaced before the next task."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def ensure(self) -> None:
        """Have a living child; returns before it is warm."""
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module and interpreter
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "workers.child",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=self._environment(),
            )
        self._pipe = Connection(ours.detach())
        settings = self._settings.model_dump(mode="json", include=_CHILD_SETTINGS)
        self._send(Hello(settings))

    def _environment(self) -> dict[str, str]:
        threads = str(self._settings.torch_threads)
        # Waiting threads that spin starve the others of a shared processor.
        quiet = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
        hidden = {"CULTIVAR_DATABASE_URL", "CULTIVAR_REDIS_URL"}
        return {k: v for k, v in os.environ.items() if k not in hidden} | quiet

    def run(self, claim: Claim, scratch: str) -> None:
        """Hand a task over; raises ChildDied."""
        self._send(Run(claim, scratch))

    def ask_to_stop(self) -> None:
        """Ask for a checkpoint and an early end; raises ChildDied."""
        self._send(Stop())

    def wait(self, alarm: Alarm, seconds: float) -> FromChild | None:
        """Return the child's next message, or None after `seconds` or a ring; raises ChildDied."""
        assert self._pipe is not None
        ready = wait([self._pipe, alarm.fileno()], timeout=max(0.0, seconds))
        if alarm.fileno() in ready:
            alarm.silence()
        if self._pipe not in ready:
            return None
        try:
            return receive_in_parent(self._pipe)
        except (EOFError, OSError, ValueError) as error:  # the last: it sends what is no message
            raise ChildDied from error

    def _send(self, message: Hello | Run | Stop) -> None:
        assert self._pipe is not None
        try:
            send_to_child(self._pipe, message)
        except OSError as error:
            raise ChildDied from error

    def terminate(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the child if it lives, and forget it."""
        if self._process is not None:
            self._process.kill()
            code = self._process.wait()
            if code not in (0, -signal.SIGKILL, -signal.SIGTERM):
                log.warning("the child ended with status %d", code)
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
