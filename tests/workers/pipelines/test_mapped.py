"""Rows of a mapped file: equal to the file's, and not kept in memory once they were read."""

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from workers.pipelines.mapped import Mapped

ROWS, DIM = 250_000, 768
MB = 1_000_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 384 MB."""
    path = tmp_path_factory.mktemp("mapped") / "x.npy"
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(ROWS, DIM))
    out[:] = (np.arange(ROWS) % 1000)[:, None]
    out.flush()
    return path


def opened(path: Path) -> np.ndarray:
    return Mapped.of(np.load(path, mmap_mode="r"))


def test_rows_are_those_of_the_file_however_they_are_asked_for(path: Path) -> None:
    x, plain = opened(path), np.load(path, mmap_mode="r")
    asked = [slice(5, 90), slice(None, None, 5000), np.array([9, 3, 9]), 7, (7, 3), np.s_[2:9, :4]]
    many = np.random.default_rng(0).integers(-ROWS, ROWS, 500)
    for index in [*asked, many, np.arange(ROWS) == 12, np.array([], dtype=int)]:
        np.testing.assert_array_equal(x[index], plain[index])
        assert not isinstance(x[index], np.memmap)
    assert (x.shape, x.dtype, len(x)) == (plain.shape, plain.dtype, ROWS)
    np.testing.assert_array_equal(np.asarray(x[:100], dtype=np.float64), plain[:100])


def test_rows_that_were_handed_out_stay_when_pages_are_given_back(path: Path) -> None:
    x = opened(path)
    first = x[:100]
    for start in range(0, ROWS, 10_000):
        assert len(x[start : start + 10_000]) == 10_000
    np.testing.assert_array_equal(first[:, 0], np.arange(100))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="shared pages are told by Linux")
@pytest.mark.parametrize("way", ["blocks", "single rows"])
def test_a_file_that_was_read_whole_is_not_kept_in_memory(path: Path, way: str) -> None:
    def pages_after_reading(x: np.ndarray) -> float:
        process, rng = psutil.Process(), np.random.default_rng(0)
        before = highest = process.memory_info().shared
        for start in range(0, ROWS, 1000):
            block = slice(start, start + 1000)
            x[block if way == "blocks" else rng.integers(0, ROWS, 1000)].max()
            highest = max(highest, process.memory_info().shared)
        return (highest - before) / MB

    plain = np.load(path, mmap_mode="r")
    assert pages_after_reading(plain) > 370, "the test would prove nothing"
    del plain
    several = [pages_after_reading(opened(path)) for _ in range(3)]
    assert max(several) < 200


def test_what_was_written_to_the_file_is_still_there(tmp_path: Path) -> None:
    out = np.lib.format.open_memmap(
        tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(50_000, 800)
    )
    out[:] = np.arange(50_000, dtype=np.float32)[:, None]
    x = Mapped.of(out)
    sums = [
        float(x[start : start + 1000, 0].sum(dtype=np.float64)) for start in range(0, 50_000, 1000)
    ]
    again = [
        float(x[start : start + 1000].sum(dtype=np.float64)) for start in range(0, 50_000, 1000)
    ]
    np.testing.assert_allclose(np.array(sums) * 800, again)
    assert sum(sums) == 49_999 * 25_000


def test_arrays_in_memory_and_small_files_stay_what_they_are(tmp_path: Path) -> None:
    x = np.zeros((3, 2))
    assert Mapped.of(x) is x
    np.save(tmp_path / "x.npy", x)
    small = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert Mapped.of(small) is small
