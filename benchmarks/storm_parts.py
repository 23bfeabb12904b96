"""The processes of a storm: each has a name, a log and the lives it has had."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.store.failpoints import VARIABLE
from benchmarks import processes
from benchmarks.storm_launch import LAUNCH

FAILPOINT_STATUS = 137
"""Exit status of a process that a failpoint ended."""


@dataclass
class Life:
    """One process from its start to its end, in seconds since 1970.

    Attributes:
        writer: its name in the audit: the part's, and which life of it this is.
        pauses: when it was stopped, and when it went on.
        childs: when its warm child was killed.
    """

    writer: str
    began: float
    ended: float | None = None
    pauses: list[tuple[float, float]] = field(default_factory=list)
    childs: list[float] = field(default_factory=list)


class Part:
    """A process that is started again and again under one name.

    Attributes:
        lives: of which the last is the one it has now.
        armed: whether a failpoint is going to end this life.
        deaths_at_failpoints: how often one did.

    Args:
        name: unique in its storm.
        words: the module and its arguments, see `benchmarks.storm_launch`.
        environment: all of it.
        folder: for its log.
    """

    def __init__(
        self, name: str, words: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.lives: list[Life] = []
        self.deaths_at_failpoints = 0
        self._words, self._environment, self._folder = words, environment, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._paused_at: float | None = None
        self.armed = False

    def start(self, failpoint: str | None = None) -> None:
        """Begin a new life, which ends at a failpoint if one is named."""
        writer = f"{self.name}#{len(self.lives)}"
        armed = {} if failpoint is None else {VARIABLE: failpoint}
        launch = [*LAUNCH, writer, str(os.getpid())]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*launch, *self._words],
                env={**self._environment, **armed},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._paused_at, self.armed = None, failpoint is not None
        self.lives.append(Life(writer, time.time()))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def writer(self) -> str:
        """Name of the life it has now."""
        return self.lives[-1].writer

    @property
    def paused(self) -> bool:
        return self._paused_at is not None

    def alive(self) -> bool:
        """Return whether it runs, or is paused; the first look after its death notes that death."""
        if self._process is None:
            return False
        status = self._process.poll()
        if status is None:
            return True
        self._sweep()
        self._note_end(status)
        return False

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        if self._process is None:
            return
        self._process.kill()
        self._sweep()
        self._process.wait()
        self._note_end(0)

    def pause(self) -> None:
        """SIGSTOP; returns once no thread of it runs any more."""
        processes.stop(self.pid)
        self._paused_at = time.time()

    def resume(self) -> None:
        """SIGCONT, where it is paused."""
        if self._process is None or self._paused_at is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
        self.lives[-1].pauses.append((self._paused_at, time.time()))
        self._paused_at = None

    def child(self) -> psutil.Process | None:
        """Return a worker's warm child, if there is one now."""
        return processes.warm_child(self.pid)

    def _sweep(self) -> None:
        """Kill what a dead process has left in its group, as the supervisor of the service does.

        A child that was stopped before it had asked the kernel to die with its parent would stay.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _note_end(self, status: int) -> None:
        self.resume()
        if self.lives[-1].ended is None:
            self.lives[-1].ended = time.time()
            self.deaths_at_failpoints += status == FAILPOINT_STATUS
        self._process = None
