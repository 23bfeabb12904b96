"""Every decoder under damaged files; `make fuzz` damages many more."""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import child
from tests.fuzz.child import attack
from tests.fuzz.reading import Reading
from tests.fuzz.seeds import Seed, seeds
from workers.decoder import READERS

MUTANTS = 150


def test_every_damaged_file_is_read_or_refused(tmp_path: Path) -> None:
    # A process of its own: decoders are forked off it, and this one has threads.
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.files", "--mutants", str(MUTANTS), "--keep", str(tmp_path)],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert f"mutants {MUTANTS * len(seeds())}, faults 0" in done.stdout


@pytest.mark.parametrize("name", sorted(seeds()))
def test_the_file_that_is_damaged_was_whole(name: str, tmp_path: Path) -> None:
    seed = seeds()[name]
    assert Reading(name, seed, tmp_path).of(seed.data) == "read"
    if seed.inner is not None:
        part, whole = seed.inner
        assert Reading(name, seed, tmp_path).of(whole(part)) == "read"
    if seed.mended is not None:
        assert seed.mended(seed.data) == seed.data


def test_the_same_number_is_the_same_damage_and_another_is_not() -> None:
    for name, seed in seeds().items():
        made = [child.mutant(seed, name, 1, number) for number in range(30)]
        assert made == [child.mutant(seed, name, 1, number) for number in range(30)]
        assert len(set(made)) > 20
        assert sum(one != seed.data for one in made) > 20


@pytest.mark.parametrize(
    ("name", "at"), [("png", 20), ("tar-folders", 30), ("ogg", -30), ("flac", -30)]
)
def test_sums_are_mended_of_damaged_files(name: str, at: int, tmp_path: Path) -> None:
    seed = seeds()[name]
    assert seed.mended is not None
    damaged = bytearray(seed.data)
    damaged[at] ^= 1
    assert seed.mended(bytes(damaged)) != bytes(damaged)
    damaged[at] ^= 1
    assert seed.mended(bytes(damaged)) == seed.data


def test_under_a_sum_that_is_mended_the_decoder_meets_the_damage(tmp_path: Path) -> None:
    """Bare, such damage is refused for its sum alone."""
    for name in ("ogg", "flac"):
        seed = seeds()[name]
        assert seed.mended is not None
        damaged = bytearray(seed.data)
        damaged[-30] ^= 1
        reading = Reading(name, seed, tmp_path)
        assert reading.of(bytes(damaged)) != "read"
        assert reading.of(seed.mended(bytes(damaged))) == "read"


def die(_: Any) -> None:
    faulthandler.disable()  # its trace would be taken for one of these tests'
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(_: Any) -> None:
    time.sleep(60)


def toil(_: Any) -> None:
    began = time.process_time()
    while time.process_time() - began < 0.3:
        pass


def take_memory(_: Any) -> None:
    bytearray(8 << 30)


def take_files(_: Any) -> None:
    opened: list[int] = []
    try:
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for number in opened:
            os.close(number)


def forget(_: Any) -> None:
    raise KeyError("x")


def say_nan(_: Any) -> float:
    return float("nan")


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (die, "SIGSEGV"),
        (hang, "did not come back"),
        (toil, "of processor time"),
        (take_memory, "MemoryError"),
        (take_files, "Too many open files"),
        (forget, "KeyError"),
        (say_nan, "not JSON compliant"),
    ],
)
def test_a_decoder_that_does_anything_else_is_caught(
    act: Any, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(request: dict[str, Any]) -> Any:
        return act(request) if Path(request["files"][0]).read_bytes() == bad else {}

    seed = Seed("raw", b"honest bytes")
    bad = child.mutant(seed, "odd", 1, 1)
    monkeypatch.setitem(READERS, "raw", read)
    monkeypatch.setattr(child, "HANG_SECONDS", 1.0 if act is hang else 60.0)
    monkeypatch.setattr(child, "CALL_SECONDS", 0.2)
    report = attack("odd", seed, number=1, first=0, count=3, keep=tmp_path / "kept")
    assert {fault.number for fault in report.faults} == {1}, report.faults
    (fault,) = report.faults
    assert (report.mutants, report.read) == (3, 2)
    assert word in fault.what
    assert fault.path.read_bytes() == bad
