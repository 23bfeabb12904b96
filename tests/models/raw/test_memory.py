"""Items stream: what a dataset weighs on disk, it does not weigh in memory."""

import subprocess
import sys
import zipfile

import pytest

from tests.models.raw.conftest import clip, encoded, picture

SCRIPT = """
import resource, sys
from pathlib import Path
from models.raw.canonical import read_raw
from models.raw.limits import RawLimits
from models.raw.spec import RawColumns
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
out, modality, file, rows = sys.argv[1:]
manifest = read_raw([Path(file)], ["set.zip"], modality=modality, format="zip", columns=RawColumns(), limits=RawLimits(), out=Path(out))
assert manifest["rows"] == int(rows)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def grown(tmp_path, modality, rows):
    """Return by how many MiB a process grows that reads ``set.zip``."""
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "out"), modality, str(tmp_path / "set.zip"), str(rows)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


def write(tmp_path, rows, ending, items):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for i in range(rows):
            file.writestr(f"{'ab'[i % 2]}/{i}{ending}", items[i % len(items)])


def test_memory_does_not_grow_with_the_clips(tmp_path):
    write(tmp_path, 100, ".wav", [clip(i, seconds=60, rate=16_000) for i in range(2)])
    assert (tmp_path / "set.zip").stat().st_size > 180 << 20
    assert grown(tmp_path, "audio", 100) < 100


@pytest.mark.slow
def test_a_hundred_thousand_small_images(tmp_path):
    write(tmp_path, 100_000, ".jpg", [encoded(picture(i, (16, 16)), "JPEG") for i in range(500)])
    assert grown(tmp_path, "image", 100_000) < 200
