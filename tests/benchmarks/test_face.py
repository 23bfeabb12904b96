"""The one face of all benchmarks, through the benchmark that needs nothing but this package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import throughput

ROOT = Path(__file__).parents[2]


def test_a_benchmark_prints_a_table_and_last_one_line_of_json(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = tmp_path / "mine.npz"
    np.savez(data, x=rng.standard_normal((90, 4)), y=np.arange(90) % 3)
    command = [sys.executable, "-m", "benchmarks.throughput", "--quick", "--data", str(data)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    figures = json.loads(lines[-1])
    assert figures["benchmark"] == "throughput"
    assert figures["rows"][0]["data"] == "mine.npz"
    assert figures["rows"][0]["latents"] == 2000
    assert figures["seconds"] < figures["goal_seconds"]
    assert lines[0].split()[:2] == ["data", "seed"]
    assert "mine.npz, seed 0: train" in done.stderr


def test_a_missing_file_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["throughput.py", "--data", "nowhere.npz"])
    with pytest.raises(SystemExit) as ended:
        throughput.main()
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].endswith("there is no file nowhere.npz")
    assert not told.out


def test_help_tells_command_cost_and_what_to_expect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["throughput.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        throughput.main()
    assert not ended.value.code
    told = capsys.readouterr().out
    for word in ("python -m benchmarks.throughput", "Cost:", "Expect:", "--seeds", "--quick"):
        assert word in told
