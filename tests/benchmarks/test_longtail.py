"""The long-tail benchmark on a made-up set: how rows are cut, chosen with and reported on."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import longtail
from benchmarks.longtail_data import LongTail, class_vectors

COUNTS = np.array([120, 60, 8, 5])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    centres = 2.5 * rng.standard_normal((4, 6))
    y, y_test = np.repeat(np.arange(4), COUNTS), np.repeat(np.arange(4), 20)
    x, x_test = (np.abs(centres[k] + rng.standard_normal((len(k), 6))) for k in (y, y_test))
    names = np.array(["ant", "bee", "cat", "dog"])
    np.savez(tmp_path / "tail.npz", x=x, y=y, x_test=x_test, y_test=y_test, classes=names)
    vectors = {"shape": centres, "sound": rng.standard_normal((4, 3))}
    np.savez(
        tmp_path / "vectors.npz", classes=names[::-1], **{k: v[::-1] for k, v in vectors.items()}
    )
    return tmp_path / "tail.npz", tmp_path / "vectors.npz"


def test_scarce_cuts_the_few_classes_alone(files):
    assert LongTail.read(files[0]).counts.tolist() == COUNTS.tolist()
    cut = [LongTail.read(files[0], scarce=2, seed=seed) for seed in (0, 1, 1)]
    assert all(data.counts.tolist() == [120, 60, 2, 2] for data in cut)
    assert not np.array_equal(cut[0].arrays["x"], cut[1].arrays["x"])
    np.testing.assert_array_equal(cut[1].arrays["x"], cut[2].arrays["x"])


def test_halves_part_the_test_rows_class_by_class(files):
    data = LongTail.read(files[0])
    first, second = data.halves(seed=0)
    assert sorted([*first, *second]) == data.test_rows.tolist()
    y = data.dataset.y
    assert np.bincount(y[first]).tolist() == np.bincount(y[second]).tolist() == [10] * 4


def test_every_row_is_set_aside_once_and_never_all_of_a_class(files):
    data = LongTail.read(files[0])
    folds = data.folds(seed=0)
    assert sorted(np.concatenate(folds)) == list(range(COUNTS.sum()))
    for choosing in folds:
        split = data.split(choosing, data.test_rows)
        left = np.bincount(data.dataset.y[split == 0], minlength=4)
        assert left.tolist()[:2] == [96, 48]
        assert (split == 2).sum() == 80
        assert (left >= [96, 48, 6, 4]).all()
    assert LongTail.read(files[0], scarce=1).folds(seed=0)[0].size == 36


def test_vectors_come_in_the_order_of_the_classes_and_several_share_the_length(files):
    vectors = class_vectors(f"{files[1]}:shape,sound", np.array(["ant", "bee", "cat", "dog"]))
    assert vectors.shape == (4, 9)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    with np.load(files[1]) as arrays:
        ant = arrays["shape"][3] / np.linalg.norm(arrays["shape"][3]) / 2**0.5
    np.testing.assert_allclose(vectors[0, :6], ant, atol=1e-6)
    with pytest.raises(SystemExit, match="lacks smell"):
        class_vectors(f"{files[1]}:smell", np.array(["ant"]))
    with pytest.raises(SystemExit, match="no vector for class 'emu'"):
        class_vectors(f"{files[1]}:shape", np.array(["emu"]))


@pytest.mark.parametrize("way", [["--choose", "train"], ["--choose", "half"], ["--scarce", "2"]])
def test_every_way_ends_with_all_arms_on_every_test_row(
    files, way, run, small_networks, monkeypatch
):
    monkeypatch.setattr(longtail, "QUICK_STEPS", 10)
    small_networks(longtail)
    arguments = ["--data", files[0], "--vectors", f"{files[1]}:shape", "--seeds", "2", "--quick"]
    line = run("longtail", *arguments, *way)
    arms = {"real", "gelda", "logit_adjusted", "same_head", "smote", "gaussian_shrunk", "one_hot"}
    assert arms <= set(line["rows"])
    assert line["rows"]["smote"]["lead"][1] <= line["rows"]["smote"]["lead"][0]
    assert ("smote_shifted" in line["rows"]) == ("--scarce" in way)
    assert line["seeds"] == 2
