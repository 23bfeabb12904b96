"""Layers: diversity, relevance and gain of each. Shots: nested rows, and what is compared at each."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import layer_worth, layers, shots
from benchmarks.longtail_data import LongTail
from tests.benchmarks.conftest import NAMES


@pytest.fixture
def files(tmp_path: Path, long_tail) -> tuple[Path, Path]:
    centres = long_tail((120, 60, 35, 8), 40)
    np.savez(tmp_path / "vectors.npz", classes=NAMES, a=centres)
    return tmp_path / "tail.npz", tmp_path / "vectors.npz"


def test_the_effective_rank_counts_the_directions_within_classes():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 400)
    x = np.zeros((1200, 10))
    x[:, :4] = rng.standard_normal((1200, 4))
    x += 50 * rng.standard_normal((3, 10))[y]  # where classes lie does not count
    assert layer_worth.effective_rank(x, y) == pytest.approx(4, abs=0.1)


def test_every_layer_is_told_and_the_path_without_an_adapter(files, run, small_networks):
    small_networks(layers)
    arguments = ["--data", files[0], "--vectors", f"{files[1]}:a", "--quick", "--seeds", "1"]
    told = run("layers", *arguments)["rows"]
    assert set(told) == {"0", "1", "2", "3", layers.BARE}
    for found in told.values():
        assert 0 <= found["recall"] <= 100
        assert 1 <= found["rank"] <= 6
        assert found["gain"][1] <= found["gain"][0] <= found["gain"][2]
        assert found["gain"][0] == pytest.approx(found["gelda"] - found["real"], abs=0.02)


def test_smaller_sets_lie_inside_larger_ones_and_none_chooses(files):
    kept = shots.Shots.of(LongTail.read(files[0]), most=20)
    assert kept.names.tolist() == ["ant", "bee", "cat"]
    assert np.bincount(kept.test_y).tolist() == [40, 40, 40]
    one, two = (kept.split(n, 20, seed=3) for n in (2, 5))
    assert set(np.flatnonzero(one == 0)) < set(np.flatnonzero(two == 0))
    for n, split in ((2, one), (5, two)):
        assert np.bincount(kept.dataset.y[split == 0]).tolist() == [n] * 3
        assert np.bincount(kept.dataset.y[split == 1]).tolist() == [shots.VAL_ROWS] * 3
    assert not np.array_equal(one, kept.split(2, 20, seed=4))
    with pytest.raises(SystemExit, match="fewer than 2 classes have 210"):
        shots.Shots.of(LongTail.read(files[0]), most=200)


def test_all_rivals_are_told_at_every_number_of_rows(files, run, small_networks):
    small_networks(shots)
    arguments = ["--data", files[0], "--vectors", f"{files[1]}:a", "--quick", "--seeds", "2"]
    told = run("shots", *arguments)
    assert list(told["rows"]) == ["2", "5"]
    assert told["classes"] == 3
    for found in told["rows"].values():
        assert {"gelda", "real", *shots.DRAWN} <= set(found)
        assert all("lead" in figures for name, figures in found.items() if name != "gelda")
