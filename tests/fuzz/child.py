"""One long-lived process that reads mutants within limits, and a watchdog that outlives it.

The process is forked, so that a decoder's libraries are loaded once for all of them. Where it dies or hangs,
the mutant that it was at is blamed, and another process goes on behind it.
"""

import contextlib
import mmap
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from app.settings import GiB, Settings
from tests.fuzz.reading import Reading
from tests.fuzz.seeds import Seed
from workers.decoder import limit_resources
from workers.orphans import die_with_parent, prefer_as_victim

CALL_SECONDS = 5.0
"""Processor time that one mutant of some kilobytes may take; honest files take some milliseconds."""

HANG_SECONDS = 120.0
"""Time after which a process that does not come back is ended: long, as others may keep it waiting."""

MEMORY_BYTES = 1 * GiB
"""Less than the default of production: the honest files need next to nothing."""

PROGRESS_SECONDS = 10.0
MOST_FAULTS = 20
_LOOK_SECONDS = 0.02
_BATCH = 200
_AT = struct.Struct("<qd")


@dataclass(frozen=True)
class Fault:
    """A mutant that came to what it must not."""

    number: int
    what: str
    path: Path


@dataclass
class Report:
    """What came of one decoder's mutants. Slowest in seconds of processor time."""

    name: str
    read: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    peak_bytes: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def mutants(self) -> int:
        return self.read + sum(self.codes.values()) + len(self.faults)


def mutant(seed: Seed, name: str, run: int, number: int) -> bytes:
    """Return the same bytes for the same three."""
    return seed.mutant(random.Random(f"{run}/{name}/{number}"))


def attack(name: str, seed: Seed, *, number: int, first: int, count: int, keep: Path) -> Report:
    """Read so many mutants of one seed; ``number`` is the run's, ``first`` that of the first mutant."""
    report, at, end = Report(name), first, first + count
    fatal: set[int] = set()
    while at < end and len(report.faults) < MOST_FAULTS:
        child = _Child(name, seed, number, fatal)
        started, (at, died) = at, child.read(range(at, end), report)
        for where, what in [*child.faults, *([(at, died)] if died else [])]:
            keep.mkdir(parents=True, exist_ok=True)
            path = keep / f"{name}-{number}-{where}.bin"
            path.write_bytes(mutant(seed, name, number, where))
            report.faults.append(Fault(where, what, path))
        if died:  # what came of its batch so far died with it: that is read again, without this one
            fatal.add(at)
            at -= (at - started) % _BATCH
    return report


class _Child:
    """The process of one decoder, and what it shares: the mutant it is at, and since when."""

    def __init__(self, name: str, seed: Seed, run: int, left_out: Collection[int]) -> None:
        self.faults: list[tuple[int, str]] = []
        self._name, self._seed, self._run, self._left_out = name, seed, run, left_out
        self._shared = mmap.mmap(-1, _AT.size)

    def read(self, numbers: range, report: Report) -> tuple[int, str]:
        """Read the mutants; return where it ended, and why if that is before the last."""
        self._note(numbers.start)
        receiver, sender = Pipe(duplex=False)
        with tempfile.TemporaryDirectory(prefix="cultivar-fuzz-") as folder:
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                receiver.close()
                self._run_child(numbers, Path(folder), sender)
            sender.close()
            status, hung = self._watch(pid, receiver, report, numbers)
        at, _ = _AT.unpack(self._shared[: _AT.size])
        if hung:
            return at, f"it did not come back within {HANG_SECONDS:g} s"
        if status < 0:
            return at, f"the process died of {signal.Signals(-status).name}"
        return (numbers.stop, "") if status == 0 else (at, f"the process ended with {status}")

    def _watch(
        self, pid: int, receiver: Connection, report: Report, numbers: range
    ) -> tuple[int, bool]:
        """Take in what the child tells until it ends; return its status, and whether it hung."""
        said, seen = time.monotonic(), (-1, 0.0)
        while True:
            self._take(receiver, report)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._take(receiver, report)
                return os.waitstatus_to_exitcode(status), False
            before, seen = seen, _AT.unpack(self._shared[: _AT.size])
            # Twice the same: the child may be writing while this is read.
            if seen == before and time.monotonic() - seen[1] > HANG_SECONDS:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                self._take(receiver, report)
                return 0, True
            if time.monotonic() - said > PROGRESS_SECONDS:
                said = time.monotonic()
                print(f"{self._name:<18}{seen[0]:>8} of {numbers.stop}", flush=True)

    def _take(self, receiver: Connection, report: Report) -> None:
        with contextlib.suppress(EOFError, OSError):
            while receiver.poll(_LOOK_SECONDS):
                codes, slowest, peak, faults = receiver.recv()
                report.read += codes.pop("read", 0)
                report.codes.update(codes)
                report.slowest = max(report.slowest, slowest)
                report.peak_bytes = max(report.peak_bytes, peak)
                self.faults += faults

    def _note(self, number: int) -> None:
        _AT.pack_into(self._shared, 0, number, time.monotonic())

    def _run_child(self, numbers: range, folder: Path, sender: Connection) -> NoReturn:
        """Read the mutants and tell of them, in the process that may die of it."""
        words = os.dup(2)
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries write of every damaged frame
            die_with_parent(os.getppid())
            prefer_as_victim()
            os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
            limit_resources(MEMORY_BYTES, 7 * 86400, 2 * Settings().max_array_bytes)
            reading = Reading(self._name, self._seed, folder)
            for told in self._told(numbers, reading):
                sender.send(told)
            sender.close()
        except BaseException:  # noqa: BLE001 - whatever it is, its status tells the parent
            os.write(words, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)

    def _told(
        self, numbers: range, reading: Reading
    ) -> Iterator[tuple[dict[str, int], float, int, list[tuple[int, str]]]]:
        """Yield, after each batch: outcomes, the slowest, most memory, and faults."""
        for start in range(numbers.start, numbers.stop, _BATCH):
            codes: Counter[str] = Counter()
            faults: list[tuple[int, str]] = []
            slowest = 0.0
            for number in range(start, min(start + _BATCH, numbers.stop)):
                if number in self._left_out:
                    continue
                self._note(number)
                data = mutant(self._seed, self._name, self._run, number)
                began = time.process_time()
                try:
                    outcome = reading.of(data)
                except Exception:  # noqa: BLE001 - any exception is what is looked for
                    faults.append((number, traceback.format_exc()))
                    continue
                taken = time.process_time() - began
                slowest = max(slowest, taken)
                if taken > CALL_SECONDS:
                    faults.append((number, f"it took {taken:.1f} s of processor time"))
                else:
                    codes[outcome] += 1
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            yield dict(codes), slowest, peak, faults
