"""The benchmark of encoding, small: both ways run and give the same vectors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import encode
from tests.models.encoders import tiny

ROOT = Path(__file__).parents[2]


def test_both_ways_give_the_same_vectors_and_tell_how_long_the_model_waits() -> None:
    command = [sys.executable, "-m", "benchmarks.encode", "--quick", "--seeds", "1"]
    done = subprocess.run(
        [*command, "--rows", "8", "--batch", "4"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["benchmark"], figures["images"]) == ("encode", 8)
    assert figures["difference"] < 1e-3
    for name in ("ours", "plain loop"):
        assert figures["images_per_second"][name] > 0
        assert 0 < figures["waited"][name] < 1
    assert figures["reached"] == (figures["times"] >= figures["goal_times"])


def test_one_s_own_model_and_images_go_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.make("clip", tmp_path / "clip")
    files = [tmp_path / f"{name}.png" for name in ("red", "blue")]
    for file in files:
        Image.new("RGB", (40, 50), file.stem).save(file)
    given = ["--quick", "--model", tmp_path / "clip", "--data", *files]
    monkeypatch.setattr(sys, "argv", ["encode.py", *map(str, given)])
    encode.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["model"], figures["images"]) == ("clip", 24)
    assert figures["difference"] < 1e-3
