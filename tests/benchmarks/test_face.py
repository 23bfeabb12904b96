"""The one face of all benchmarks, through the benchmark that needs nothing but this package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.throughput", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=250
    )


def test_a_benchmark_prints_a_table_and_last_one_line_of_json(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = tmp_path / "mine.npz"
    np.savez(data, x=rng.standard_normal((90, 4)), y=np.arange(90) % 3)
    done = run("--quick", "--data", str(data))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    figures = json.loads(lines[-1])
    assert figures["benchmark"] == "throughput"
    assert figures["rows"][0]["data"] == "mine.npz"
    assert figures["rows"][0]["latents"] == 2000
    assert figures["seconds"] < figures["goal_seconds"]
    assert lines[0].split()[:2] == ["data", "seed"]
    assert "mine.npz, seed 0: train" in done.stderr


def test_a_missing_file_is_said_in_one_line() -> None:
    done = run("--data", "nowhere.npz")
    assert done.returncode == 2
    assert "there is no file nowhere.npz" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_tells_command_cost_and_what_to_expect() -> None:
    done = run("--help")
    assert done.returncode == 0
    for word in ("python -m benchmarks.throughput", "Cost:", "Expect:", "--seeds", "--quick"):
        assert word in done.stdout
