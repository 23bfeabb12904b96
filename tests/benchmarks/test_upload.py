"""The benchmark of uploads, with a small file against a service of its own."""

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MiB = 1 << 20


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module; it is installed nowhere and found from the repository's root."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.upload")


def test_a_file_goes_through_the_service_while_its_memory_is_read(tmp_path: Path) -> None:
    data = tmp_path / "mine.bin"
    data.write_bytes(bytes(range(256)) * 5000)
    command = [sys.executable, "-m", "benchmarks.upload", "--data", str(data)]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    (row,) = figures["rows"]
    assert row["data"] == "mine.bin"
    assert row["mb"] == 1.28
    assert figures["reached"] is True
    # A Python with the API in it is not smaller: it was that process which was looked at.
    assert 30 < row["idle_mb"] <= row["peak_mb"] == figures["peak_mb"] < figures["limit_mb"]
    assert 0 < row["of_disk"] == figures["of_disk"]
    assert list(tmp_path.iterdir()) == [data], "something was left behind"


@pytest.mark.parametrize("part_bytes", [MiB, MiB + 1, 1000, 10 * MiB])
def test_made_up_bytes_are_the_same_however_they_are_cut(
    part_bytes: int, benchmark: ModuleType
) -> None:
    source = benchmark.MadeUp("made up", 2 * MiB + 17, seed=3)
    whole = b"".join(source.read(0, source.size))
    assert len(whole) == source.size
    assert whole[:MiB] != whole[MiB : 2 * MiB]
    hashes = benchmark.Hashes.of(source, part_bytes)
    assert hashes.whole == hashlib.sha256(whole).hexdigest()
    cut = [whole[start : start + part_bytes] for start in range(0, len(whole), part_bytes)]
    assert hashes.parts == [hashlib.sha256(part).digest() for part in cut]
    other = b"".join(benchmark.MadeUp("other", 99, seed=4).read(0, 99))
    assert other != whole[:99]


def test_a_file_s_bytes_are_read_from_where_a_part_begins(
    tmp_path: Path, benchmark: ModuleType
) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(range(256)) * 4)
    assert (
        b"".join(benchmark.OnDisk("data", 1024, path).read(255, 300)) == path.read_bytes()[255:555]
    )
