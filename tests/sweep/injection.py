"""Faults at the k-th system call of a process that runs, and what it did: by strace, attached to it.

Counts are strace's own: of one call, in one thread, from the moment of attaching.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SYNCS = ("fsync", "fdatasync")
RENAMES = ("rename", "renameat", "renameat2")
WRITES = ("write", "pwrite64", "writev")
FOLDERS = ("mkdir", "mkdirat")
SENDS = ("sendto",)
"""How a PostgreSQL's client speaks to its server."""

ATTACH_SECONDS, DETACH_SECONDS = 30.0, 20.0
_PR_SET_PTRACER, _ANYBODY = 0x59616D61, -1
_BEGUN = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)")
_TARGETS = re.compile(r"<([^<>]*)>|\"([^\"]*)\"")


@dataclass(frozen=True)
class Fault:
    """What befalls a call: the process is killed in it, or it fails.

    Attributes:
        strace: as ``inject=`` takes it.
        failpoint: as ``CULTIVAR_FAILPOINT`` takes it, after name and number.
    """

    name: str
    strace: str
    failpoint: str


KILL = Fault("kill", "signal=KILL", "")
NO_SPACE = Fault("no space", "error=ENOSPC", ":enospc")
IO_ERROR = Fault("I/O error", "error=EIO", ":eio")
FAULTS = (KILL, NO_SPACE, IO_ERROR)


@dataclass(frozen=True)
class Call:
    """One call of a trace.

    Attributes:
        number: which of its name it is in its thread, from 1.
        targets: the files (or sockets) it concerns, as strace names them.
    """

    thread: int
    name: str
    number: int
    targets: tuple[str, ...]
    text: str

    @property
    def injected(self) -> bool:
        return "(INJECTED)" in self.text

    def inside(self, *folders: Path) -> bool:
        """Whether it concerns something in one of the folders."""
        return any(t.startswith(f"{folder}/") for t in self.targets for folder in folders)


@cache
def why_not() -> str | None:
    """Return why strace cannot be used here; None where it can."""
    if sys.platform != "linux":
        return f"the system is {sys.platform}"
    if shutil.which("strace") is None:
        return "there is no strace on PATH"
    tried = subprocess.run(
        ["strace", "-f", "-e", "inject=fsync:error=EIO:when=1", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if tried.returncode == 0 else tried.stderr.strip().splitlines()[-1]


def let_others_trace_me() -> None:
    """Permit what Yama otherwise grants to parents alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)


@contextmanager
def traced(
    pids: Iterable[int], log: Path, calls: Sequence[str], inject: str | None = None
) -> Iterator[None]:
    """Trace processes, with what they start meanwhile, into a file.

    Args:
        pids: of the processes; all their threads are traced.
        log: where the calls are written, to be read by `read_trace` afterwards.
        calls: names of the system calls.
        inject: e.g. ``fsync:when=2:error=EIO``.
    """
    command = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(log)]
    command += ["-e", f"trace={','.join(calls)}", "-e", "signal=none"]
    command += [] if inject is None else ["-e", f"inject={inject}"]
    followed = list(pids)
    command += [f"--attach={pid}" for pid in followed]
    # Its own complaints go where the trace's reader would look for the cause of a missing one.
    with log.with_suffix(".errors").open("wb") as errors:
        strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors)
    try:
        _await_attached(strace, followed, log)
        yield
    finally:
        strace.terminate()  # it lets go of whom it traces
        try:
            strace.wait(DETACH_SECONDS)
        except subprocess.TimeoutExpired:  # the kernel lets go of them for it
            strace.kill()
            strace.wait()


def _await_attached(strace: subprocess.Popen[bytes], pids: list[int], log: Path) -> None:
    end = time.monotonic() + ATTACH_SECONDS
    while not all(_traced_by(strace.pid, pid) for pid in pids):
        assert strace.poll() is None, log.with_suffix(".errors").read_text()
        assert time.monotonic() < end, "strace did not attach in time"
        time.sleep(0.002)


def _traced_by(tracer: int, pid: int) -> bool:
    """Whether every thread of a process has this tracer."""
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            text = status.read_text()
        except OSError:  # the thread has ended
            continue
        if f"TracerPid:\t{tracer}\n" not in text:
            return False
    return True


def read_trace(log: Path) -> list[Call]:
    """Return the calls of a trace, in the order in which they began."""
    counts: Counter[tuple[str, str]] = Counter()
    lines: dict[tuple[str, str, int], str] = {}
    unfinished: dict[str, tuple[str, str, int]] = {}
    for line in log.read_text(errors="replace").splitlines():
        if begun := _BEGUN.match(line):
            thread, name = begun["thread"], begun["name"]
            counts[thread, name] += 1
            key = (thread, name, counts[thread, name])
            lines[key] = begun["rest"]
            unfinished[thread] = key
        elif (resumed := _RESUMED.match(line)) and resumed["thread"] in unfinished:
            lines[unfinished[resumed["thread"]]] += resumed["rest"]
    return [
        Call(int(thread), name, number, tuple(a or b for a, b in _TARGETS.findall(text)), text)
        for (thread, name, number), text in lines.items()
    ]


def injected(log: Path) -> list[Call]:
    """Return the calls that were made to fail."""
    return [call for call in read_trace(log) if call.injected]


def unconfirmed(calls: Sequence[Call]) -> list[str]:
    """Return what is relied on though a sync of it has failed.

    That is a file or folder that was synced again with nothing written to it in between, and one that is
    still there and was not synced again. A folder is written to by what is made or renamed in it.
    """
    written_since: dict[str, bool] = {}
    wrong = []
    for call in calls:
        if call.name in SYNCS:
            target = call.targets[0]
            if call.injected:
                written_since[target] = False
            elif not written_since.pop(target, True):
                wrong.append(target)
        else:
            touched = {*call.targets, *(str(Path(target).parent) for target in call.targets)}
            written_since |= dict.fromkeys(touched & written_since.keys(), True)
    return wrong + [target for target in written_since if Path(target).exists()]


def spread(calls: Sequence[Call], number: int) -> list[Call]:
    """Return so many of the calls, evenly spread, the first and the last among them."""
    if len(calls) <= number:
        return list(calls)
    return [calls[round(i * (len(calls) - 1) / (number - 1))] for i in range(number)]
