"""A flow on pixels that learns and hears its condition, and the benchmark that sets it beside latents."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import input_space, pixel_flow
from benchmarks.pixel_flow import CellEmbedding, PixelFlow
from tests.models.encoders import tiny


def _no_progress(_done: float, _total: float) -> None: ...


def flat_pictures(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark pictures of one class, bright ones of another; 24 each."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(2), 24)
    level = np.array([60.0, 190.0])[y][:, None, None, None]
    pixels = level + 10 * rng.standard_normal((48, size, size, 3))
    return pixels.clip(0, 255).astype(np.uint8), y


def test_a_cell_is_its_class_and_its_domain():
    embed = CellEmbedding(3, 2, 5)
    rows = embed(torch.tensor([0, 1, 4, 5]))
    torch.testing.assert_close(rows[3] - rows[2], rows[1] - rows[0])
    assert not torch.allclose(rows[2], rows[0])


def test_an_untrained_flow_draws_the_images_mean_and_spread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pixel_flow, "WIDTHS", (16, 16, 32))
    pixels, cells = flat_pictures(32)
    drawn = PixelFlow(pixels, cells, 2, 1, seed=0).draw(cells, 8, _no_progress)
    assert (drawn.shape, drawn.dtype) == (pixels.shape, np.uint8)
    assert drawn.mean() == pytest.approx(pixels.mean(), abs=5)
    assert drawn.std() == pytest.approx(pixels.std(), rel=0.15)


def test_a_trained_flow_draws_each_class_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pixel_flow, "WIDTHS", (16, 16, 32))
    monkeypatch.setattr(pixel_flow, "LEARNING_RATE", 3e-3)
    monkeypatch.setattr(pixel_flow, "BATCH", 16)
    pixels, cells = flat_pictures(16)
    flow = PixelFlow(pixels, cells, 2, 1, seed=0)
    run = flow.fit(1e9, _no_progress, most=60)
    assert run.steps == 60
    assert run.losses[1] < 0.5 * run.losses[0]
    drawn = flow.draw(np.array([0, 0, 1, 1]), 6, _no_progress)
    means = drawn.mean(axis=(1, 2, 3))
    assert means[:2].max() < 100
    assert means[2:].min() > 150


def test_a_budget_is_kept_to_and_equal_seeds_draw_equal_images(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pixel_flow, "WIDTHS", (16, 16, 32))
    pixels, cells = flat_pictures(16)
    flow = PixelFlow(pixels, cells, 2, 1, seed=0)
    run = flow.fit(0.3, _no_progress)
    assert 0.3 <= run.seconds < 2
    again, same = (PixelFlow(pixels, cells, 2, 1, seed=4) for _ in range(2))
    for one in (again, same):
        one.fit(1e9, _no_progress, most=2)
    np.testing.assert_array_equal(
        again.draw(cells[:3], 2, _no_progress), same.draw(cells[:3], 2, _no_progress)
    )
    with pytest.raises(ValueError, match="24 px cannot be folded to 16"):
        PixelFlow(np.zeros((2, 24, 24, 3), np.uint8), cells[:2], 2, 1, seed=0)


def test_both_spaces_are_told_beside_real_rows_alone_and_repeated_ones(
    picture_folder: Path, tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pixel_flow, "WIDTHS", (16, 16, 32))
    # Of this one the output differs between images, though its weights are random.
    model, figures = tiny.make("vit", tmp_path / "vit"), tmp_path / "figures"
    arguments = ["--data", picture_folder, "--model", model, "--scarce", "sketch", "--quick"]
    told = run("input_space", *arguments, "--seeds", 2, "--figures", figures)
    assert set(told["rows"]) == set(told["costs"]) == set(input_space.WORDS)
    for arm, found in told["rows"].items():
        assert 0 <= found["UAR"] <= 100
        assert (arm == "gelda") == ("lead" not in found)
    costs = told["costs"]
    assert costs["real"]["frechet"] < costs["pixels"]["frechet"]
    assert costs["pixels"]["train_s"] >= told["budget"]
    assert costs["gelda"]["steps"] >= 1
    assert costs["pixels"]["rows_per_s_encoded"] < costs["pixels"]["rows_per_s"]
    assert {file.name for file in figures.iterdir()} == {
        f"{name}.{kind}" for name in ("input_space", "input_space-frechet") for kind in ("png", "svg")
    }  # fmt: skip
