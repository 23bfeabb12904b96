"""The benchmark of the workers' memory, small, and the rows that it makes up."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
LINUX = sys.platform.startswith("linux")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module; it is installed nowhere and found from the repository's root."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.memory")


def test_made_up_rows_are_a_dataset_of_the_size_that_was_told(
    memory: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CHUNK_ROWS", 300)
    face = importlib.import_module("benchmarks.face").Face("A benchmark.")
    source = memory.MadeUp(1000, 24, seed=3)
    source.write(tmp_path / "rows.npz", face)
    with np.load(tmp_path / "rows.npz", allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    assert (x.shape, x.dtype, x.nbytes + y.nbytes) == ((1000, 24), np.float16, source.size)
    assert np.bincount(y).tolist() == [10] * 100
    assert np.isfinite(x).all()
    assert len(np.unique(x[:, 0])) > 500, "chunks repeat each other"
    within = np.mean([x[y == label].astype(np.float32).var(axis=0).mean() for label in range(100)])
    assert within < 0.5 * x.astype(np.float32).var(), "classes are not apart"


@pytest.mark.skipif(not LINUX, reason="/proc is Linux's")
def test_a_process_s_memory_is_read_in_bytes(memory: ModuleType) -> None:
    before = memory._status(os.getpid())
    held = np.ones(50_000_000, dtype=np.uint8)
    after = memory._status(os.getpid())
    assert after["RssAnon"] - before["RssAnon"] > 0.9 * held.nbytes
    assert after["VmRSS"] >= after["RssAnon"] > 20_000_000


@pytest.mark.skipif(not LINUX, reason="/proc is Linux's")
def test_a_job_runs_and_each_stage_s_memory_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.memory", "--quick", "--steps", "20"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    (row,) = figures["rows"]
    assert {"dataset", "train"} <= set(row["phases"])
    # A child with torch in it is not smaller: it was the workers that were looked at.
    assert 0.2 < row["phases"]["train"]["peak_gb"] <= figures["peak_gb"] < figures["limit_gb"]
    assert row["anonymous_gb"] < row["peak_gb"]
    assert not list(tmp_path.iterdir()), "something was left behind"


@pytest.mark.skipif(not LINUX, reason="/proc is Linux's")
def test_images_go_in_and_come_out_as_embeddings(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    figures = run("many_images", "--quick", "--folder", tmp_path)
    (row,) = figures["rows"]
    assert row["rows"] == 300
    assert {"dataset", "encode"} <= set(row["phases"])
    assert 20 < row["api_mb"] < figures["api_limit_mb"]
    assert 0.2 < row["phases"]["encode"] <= row["worker_gb"] < figures["worker_limit_gb"]
    assert not list(tmp_path.iterdir()), "something was left behind"
