"""Children start again when they die, end when asked, and never outlive their supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from app.supervisor import Program, Supervisor

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {}; time.sleep(600)"


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()


def sleeper(stop_seconds: float = 5.0) -> Program:
    return Program("sleeper", ["sleep", "600"], stop_seconds)


def stubborn(touch: Path, stop_seconds: float) -> Program:
    """A program that ignores SIGTERM, once `touch` exists."""
    code = STUBBORN.format(f"open({str(touch)!r}, 'w').close()")
    return Program("stubborn", [sys.executable, "-c", code], stop_seconds)


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return true()


def test_a_killed_program_is_started_again(supervisor: Supervisor) -> None:
    program = sleeper()
    first = supervisor.start(program)
    os.kill(first, signal.SIGKILL)

    def back() -> bool:
        supervisor.tend()
        return supervisor.pids().get("sleeper", first) != first

    assert eventually(back)
    assert not psutil.pid_exists(first)


def test_a_program_that_keeps_ending_is_started_ever_more_slowly(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    supervisor.start(Program("short", ["sh", "-c", f"echo >> {starts}"], 1))
    end = time.monotonic() + 3.2
    while time.monotonic() < end:
        supervisor.tend()
        time.sleep(0.01)
    # At 0, 0.5 and 1.5 s; the next one would be due at 3.5 s.
    assert len(starts.read_text().splitlines()) == 3


def test_a_program_that_ends_when_asked_is_not_waited_for(supervisor: Supervisor) -> None:
    program = sleeper(stop_seconds=60)
    pid = supervisor.start(program)
    start = time.monotonic()
    supervisor.stop([program])
    assert time.monotonic() - start < 5
    assert not psutil.pid_exists(pid)


def test_a_program_that_does_not_end_is_killed_after_its_time(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    program = stubborn(tmp_path / "up", stop_seconds=0.5)
    pid = supervisor.start(program)
    assert eventually((tmp_path / "up").exists)
    start = time.monotonic()
    supervisor.stop([program])
    assert 0.5 <= time.monotonic() - start < 5
    assert not psutil.pid_exists(pid)


def test_a_hurry_kills_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    program = stubborn(tmp_path / "up", stop_seconds=60)
    supervisor.start(program)
    assert eventually((tmp_path / "up").exists)
    start = time.monotonic()
    supervisor.stop([program], hurry=lambda: True)
    assert time.monotonic() - start < 5


def test_what_a_dead_program_had_started_is_ended_too(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    program = Program("parent", ["sh", "-c", f"sleep 600 & echo $! > {note}; wait"], 5)
    pid = supervisor.start(program)
    assert eventually(lambda: note.exists() and bool(note.read_text().strip()))
    grandchild = int(note.read_text())
    os.kill(pid, signal.SIGKILL)

    def gone() -> bool:
        supervisor.tend()
        return not running(grandchild)

    assert eventually(gone)


def test_a_supervisor_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from app.supervisor import Program, Supervisor
supervisor = Supervisor()
pids = [supervisor.start(Program("sleeper", ["sleep", "600"], 5)),
        supervisor.start(Program("stubborn", [sys.executable, "-c", {STUBBORN.format("pass")!r}], 1))]
time.sleep(1)
print(*pids, supervisor._guard.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 3
    assert all(running(pid) for pid in pids)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not any(running(pid) for pid in pids))


def running(pid: int) -> bool:
    """Whether `pid` runs; a zombie that nobody has reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
