"""The benchmark of editing, small: every stage runs, and calls the denoiser as often as it says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.conftest import Run
from tests.models.alia import tiny_diffusion

AT_FIFTY = "plain loop", "cached", "batched", "precision"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_diffusion.stable(tmp_path_factory.mktemp("edit") / "small")


def test_every_stage_is_measured_beside_the_plain_loop(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "one.png"
    Image.fromarray(np.full((40, 32, 3), 90, np.uint8)).save(picture)
    told = run(
        "edit_speed", "--quick", "--model", folder, "--batch", 2, "--seeds", 1, "--data", picture,
        "--strength", 0.1, "--device", "cpu",
    )  # fmt: skip
    assert (told["benchmark"], told["model"], told["size"], told["edits"]) == (
        "edit_speed", "small", 32, 4,
    )  # fmt: skip
    stages = [*AT_FIFTY, "25 steps", "4 steps"]
    assert list(told["times"]) == list(told["edits_per_second"]) == stages
    # A tenth of the schedule; PNDM takes one step more.
    assert [told["calls"][name] for name in AT_FIFTY] == [6, 5, 5, 5]
    assert (told["calls"]["25 steps"], told["calls"]["4 steps"]) == (2, 4)
    assert told["times"]["plain loop"] == told["cpu_times"]["plain loop"] == 1
    assert told["times_at_equal_steps"] == told["times"]["precision"]
    assert told["reached"] == (told["times_at_equal_steps"] >= told["goal_times"])


@pytest.mark.parametrize("given", [[], ["--full", "--model", "folder"]])
def test_one_model_must_be_named(
    run: Run, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("edit_speed", *given)
    assert "one of --model and --full" in capsys.readouterr().err
