"""The alarm, the shelf and the scratch folders."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from workers.alarm import Alarm
from workers.scratch import Scratch, sweep
from workers.shelf import Shelf


def test_an_alarm_wakes_who_waits_and_is_silent_afterwards() -> None:
    alarm = Alarm()
    threading.Timer(0.05, alarm.ring).start()
    began = time.monotonic()
    assert alarm.wait(120)
    assert time.monotonic() - began < 60
    assert not alarm.wait(0)
    alarm.close()


def test_a_full_alarm_takes_further_rings() -> None:
    alarm = Alarm()
    for _ in range(100_000):
        alarm.ring()
    assert alarm.wait(0)
    assert not alarm.wait(0)
    alarm.close()


def test_the_shelf_loads_once_and_drops_the_least_recently_used() -> None:
    loads: list[str] = []

    def load(name: str) -> str:
        loads.append(name)
        return name

    shelf = Shelf(places=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert shelf.get(name, lambda name=name: load(name)) == name  # type: ignore[misc]
    assert loads == ["a", "b", "c", "b"]


def test_a_scratch_folder_goes_with_its_task(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, "worker_1")
    with contextlib.suppress(InterruptedError), scratch.folder("task-1") as folder:
        (folder / "file").write_text("x")
        raise InterruptedError
    assert [p.name for p in (tmp_path / "worker_1").iterdir()] == ["lock"]
    scratch.close()
    assert list(tmp_path.iterdir()) == []


_HOLD = """
import sys, time
from pathlib import Path
from workers.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]), "worker_killed")
with scratch.folder("task"):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_only_the_folders_of_dead_workers_are_swept(tmp_path: Path) -> None:
    alive = Scratch(tmp_path, "worker_alive")
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert sweep(tmp_path) == []
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert sweep(tmp_path) == ["worker_killed"]
    assert [p.name for p in tmp_path.iterdir()] == ["worker_alive"]
    alive.close()
