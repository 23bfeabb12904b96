"""Looking at held-out rows: the same question every time, the best answer kept, the end in time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import Interrupted
from models.gelda.held_out import Best
from models.gelda.method import Generator
from models.gelda.spec import DenoiserSpec, ObjectiveSpec, SamplerSpec

Train = Callable[..., Generator]
BY_HEART: dict[str, Any] = {
    "denoiser": DenoiserSpec(width=64, blocks=2, dropout=0.0),
    "objective": ObjectiveSpec(
        steps=200, batch_size=64, learning_rate=1e-2, ema=0.9, patience=3, checkpoint_steps=25
    ),
}


def others(trained: Train) -> tuple[np.ndarray, np.ndarray, None]:
    """Rows of the same classes that the generator does not see: noise added to none of them."""
    x, y = trained.rows((400, 300))  # type: ignore[attr-defined]
    return x[::5], y[::5], None


def test_a_training_that_learns_rows_by_heart_is_stopped_at_its_best(trained: Train) -> None:
    generator = trained((12, 8), held_out=others(trained), **BY_HEART)
    curve, steps = generator.config["held_out_history"], generator.config["history"][-1][0]
    assert steps < 200
    assert [step for step, _ in curve] == list(range(0, steps + 1, 10))
    losses = [loss for _, loss in curve]
    assert len(losses) - 1 - int(np.argmin(losses)) == 3, "as many looks as patience after the best"


def test_without_patience_nobody_looks(trained: Train) -> None:
    objective = BY_HEART["objective"].model_copy(update={"patience": None})
    generator = trained((12, 8), held_out=others(trained), **(BY_HEART | {"objective": objective}))
    assert generator.config["held_out_history"] == []
    assert generator.config["history"][-1][0] == 200


def test_the_best_average_is_what_draws(trained: Train) -> None:
    """Stopped after the same best look, two trainings of different patience draw the same."""
    drawn = []
    for patience in (3, 5):
        objective = BY_HEART["objective"].model_copy(update={"patience": patience})
        generator = trained(
            (12, 8), held_out=others(trained), **(BY_HEART | {"objective": objective})
        )
        items = np.zeros(9, dtype=np.int64), np.arange(9)
        drawn.append(generator.sample(*items, seed=1, sampler=SamplerSpec(steps=3)))
    assert drawn[0].tobytes() == drawn[1].tobytes()


@pytest.mark.parametrize("stop_at", [7, 19, 26])
def test_a_watched_training_resumes_bit_for_bit(
    trained: Train, tmp_path: Path, stop_at: int
) -> None:
    trained((12, 8), held_out=others(trained), **BY_HEART).save(tmp_path / "whole")
    kept: list[Path] = []
    asked = iter(range(10_000))
    with pytest.raises(Interrupted):
        trained(
            (12, 8),
            held_out=others(trained),
            **BY_HEART,
            on_checkpoint=lambda path, step: kept.append(path.rename(tmp_path / f"kept-{step}")),
            should_stop=lambda: next(asked) == stop_at,
        )
    for checkpoint in kept:
        resumed = trained((12, 8), held_out=others(trained), **BY_HEART, resume=checkpoint)
        resumed.save(tmp_path / "resumed")
        for file in (tmp_path / "whole").iterdir():
            assert file.read_bytes() == (tmp_path / "resumed" / file.name).read_bytes()


def test_the_best_is_copied_and_a_tie_is_no_progress() -> None:
    best, weights = Best(), {"w": torch.zeros(1)}
    for step, loss in enumerate([2.0, 1.0, 1.0, 3.0]):
        weights["w"].fill_(step)
        best.look(step, loss, weights)
    assert (best.loss, best.since) == (1.0, 2)
    assert float(best.average["w"]) == 1
    assert best.curve == [(0, 2.0), (1, 1.0), (2, 1.0), (3, 3.0)]
