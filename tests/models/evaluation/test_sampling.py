"""Of more rows than heads can use: rare cells whole, the rest in their shares, and it is told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.evaluation import data as evaluation_data
from models.evaluation.data import EvaluationData
from models.evaluation.report import Context, build
from models.evaluation.sampling import sampled
from models.front.front import Front

SIZES = np.array([6000, 3000, 40, 1, 0, 900])


def test_few_rows_are_all_taken():
    assert sampled(np.array([1, 0, 1]), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("most", [200, 1000, 5000])
def test_rare_cells_stay_whole_and_frequent_ones_keep_their_proportions(most):
    cells = np.random.default_rng(1).permutation(np.repeat(np.arange(6), SIZES))
    rows = sampled(cells, most)
    assert 0.99 * most < len(rows) <= most
    assert (np.diff(rows) > 0).all()
    kept = np.bincount(cells[rows], minlength=6)
    floor = most // (2 * 5)
    assert (kept >= np.minimum(SIZES, floor)).all()
    assert kept[3] == 1
    above = kept > floor
    shares = kept[above] / SIZES[above]
    assert np.ptp(shares) < 0.01
    np.testing.assert_array_equal(rows, sampled(cells, most))


def test_of_more_cells_than_rows_that_are_wanted_each_keeps_one():
    cells = np.repeat(np.arange(50), 3)
    assert np.bincount(cells[sampled(cells, 10)]).tolist() == [1] * 50


class Watched(np.memmap):
    """Rows that count how many of them were read."""

    read = 0

    def __getitem__(self, index):
        part = np.array(super().__getitem__(index))
        type(self).read += len(np.atleast_2d(part))
        return part


def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvaluationData:
    monkeypatch.setattr(evaluation_data, "TRAINED_ON", 300)
    monkeypatch.setattr(evaluation_data, "MEASURED_ON", 100)
    rng = np.random.default_rng(0)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float16, shape=(2000, 4))
    x[:] = rng.standard_normal(x.shape)
    y, part = rng.choice(3, 2000, p=[0.8, 0.19, 0.01]), rng.integers(0, 2, 2000)
    y[:50] = -1
    y[(y == 2) & (part == 1)] = 0  # a cell that is never seen
    split = np.repeat(np.array([0, 2, 1], dtype=np.int8), [1500, 420, 80])
    return EvaluationData.of(
        x.view(Watched), y, split, ("a", "b", "c"),
        front=Front.identity(4), subdomain=part, subdomains=("r", "s"),
    )  # fmt: skip


def test_what_is_read_of_a_large_dataset_is_bounded_and_its_counts_are_the_datasets(
    tmp_path, monkeypatch
):
    data = large(tmp_path, monkeypatch)
    assert Watched.read == 300 + 100 + 80
    assert (len(data.train.y), len(data.val.y), len(data.test.y)) == (300, 80, 100)
    assert data.whole == {"train": 1450, "test": 420}
    assert data.train_counts.sum() == data.cell_counts.sum() == 1450
    rare = data.train_counts[2]
    assert 0 < rare == (data.train.y == 2).sum()
    assert data.cell_counts.reshape(3, 2)[2].tolist() == [rare, 0]


def test_the_report_tells_of_a_sample(result, tmp_path, monkeypatch):
    def told(found):
        return [line for line in build(found, Context())["caveats"] if "samples" in line]

    assert told(result) == []
    shown = replace(result, data=replace(result.data, whole={"train": 1450, "test": 1420}))
    (sentence,) = told(shown)
    assert "272 of 1,450 train rows and 300 of 1,420 test rows" in sentence
    splits = build(shown, Context())["splits"]
    assert splits["rows"] == {"train": 1450, "val": 200, "test": 1420}
    assert splits["sampled"] == {"train": 272, "test": 300}
