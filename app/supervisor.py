"""Child processes: started, restarted with back-off, stopped in order, and never outliving us.

A guard process holds the other end of a pipe. When the supervisor is gone, however it went, the
pipe ends and the guard ends the children: that works the same on Linux and macOS, needs no code
between fork and exec, and reaches programs that are not ours, such as Redis.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
STEADY_SECONDS = 60.0
"""A program that has run this long has its back-off forgotten."""

# Lines "+ pid signal seconds" and "- pid"; the end of the pipe means that the supervisor is gone.
_GUARD = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
kept = {}
for line in sys.stdin:
    sign, pid, *rest = line.split()
    if sign == "+":
        kept[int(pid)] = int(rest[0]), float(rest[1])
    else:
        kept.pop(int(pid), None)
def send(pid, number):
    try:
        os.kill(pid, number)
    except OSError:  # ended; now what it left in its process group
        kept.pop(pid, None)
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
for pid, (number, _) in list(kept.items()):
    send(pid, number)
start = time.monotonic()
while kept:
    time.sleep(0.1)
    for pid, (_, seconds) in list(kept.items()):
        send(pid, signal.SIGKILL if time.monotonic() - start > seconds else 0)
"""


class StackError(Exception):
    """The stack cannot start or go on, in words its operator can act on."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What to run, and how it may be ended.

    Attributes:
        stop_seconds: how long it may take to end by itself after SIGTERM.
        orphan_signal: what the guard sends first when the supervisor is gone.
        output: file that its output is appended to; ours where None.
    """

    name: str
    command: Sequence[str]
    stop_seconds: float
    env: Mapping[str, str] | None = None
    orphan_signal: signal.Signals = signal.SIGTERM
    output: Path | None = None


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    started: float
    delay: float = FIRST_DELAY
    restart_at: float | None = field(default=None)


class Supervisor:
    """Keeps programs running until told otherwise. Used from one thread."""

    def __init__(self) -> None:
        self._running: dict[Program, _Running] = {}
        # A session of its own: Ctrl-C in the terminal reaches the supervisor alone.
        self._guard = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-I", "-S", "-c", _GUARD],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self, program: Program) -> int:
        """Start `program` and return its pid."""
        process = self._spawn(program)
        self._running[program] = _Running(process, time.monotonic())
        return process.pid

    def alive(self, program: Program) -> bool:
        running = self._running.get(program)
        return running is not None and running.process.poll() is None

    def pids(self) -> dict[str, int]:
        """Return the pid of every program that is running now, by name."""
        return {p.name: r.process.pid for p, r in self._running.items() if self.alive(p)}

    def tend(self) -> None:
        """Start again what has ended, later and later if it keeps on ending. Call often."""
        now = time.monotonic()
        for program, running in self._running.items():
            if running.restart_at is not None:
                if now >= running.restart_at:
                    running.process = self._spawn(program)
                    running.started, running.restart_at = now, None
            elif (status := running.process.poll()) is not None:
                self._forget(running.process)
                if now - running.started > STEADY_SECONDS:
                    running.delay = FIRST_DELAY
                log.warning(
                    "%s ended with %s; starting it again in %.1f s",
                    program.name,
                    status,
                    running.delay,
                )
                running.restart_at = now + running.delay
                running.delay = min(2 * running.delay, LONGEST_DELAY)

    def stop(self, programs: Iterable[Program], hurry: Callable[[], bool] = lambda: False) -> None:
        """End `programs`, all at once: SIGTERM, then SIGKILL after their time or when in a hurry."""
        ending = {p: r.process for p in programs if (r := self._running.pop(p, None))}
        for process in ending.values():
            process.terminate()
        start = time.monotonic()
        while waiting := [p for p, process in ending.items() if process.poll() is None]:
            for program in waiting:
                if hurry() or time.monotonic() - start > program.stop_seconds:
                    log.warning("%s did not end by itself and is killed", program.name)
                    ending[program].kill()
                    ending[program].wait()
            time.sleep(0.02)
        for process in ending.values():
            self._forget(process)

    def close(self) -> None:
        """Kill what is left, and end the guard."""
        self.stop(list(self._running), hurry=lambda: True)
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        output = None
        if program.output is not None:
            output = os.open(program.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603 - our own words
                program.command,
                env=program.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)
        self._tell_guard(f"+ {process.pid} {int(program.orphan_signal)} {program.stop_seconds}")
        return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        """Clear up after an ended program: whatever it started and left in its process group."""
        self._tell_guard(f"- {process.pid}")
        # macOS answers EPERM where only zombies are left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def _tell_guard(self, line: str) -> None:
        assert self._guard.stdin is not None
        try:
            self._guard.stdin.write(line.encode() + b"\n")
            self._guard.stdin.flush()
        except BrokenPipeError:
            log.warning("the guard process is gone; a kill -9 of this one would leave children")
