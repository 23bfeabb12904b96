"""The rivals do what their names say, in the numbers that are asked for."""

import numpy as np
import pytest

from models.evaluation.controls import (
    AUGMENTING,
    classes_of_one,
    gaussian,
    label_shift,
    nearest_class_mean,
    oversampling,
    smote,
)

COUNTS = np.array([0, 30, 40, 60, 5])


def rows(seed=0):
    """Classes of 50, 20, 3 and 1 rows, and one of none."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2, 3], [50, 20, 3, 1])
    return (3 * np.eye(4, 6)[y] + rng.standard_normal((len(y), 6))).astype(np.float32), y


@pytest.mark.parametrize("name", AUGMENTING)
def test_each_adds_the_rows_that_were_planned(name):
    x, y = rows()
    more_x, more_y = AUGMENTING[name](x, y, COUNTS, 0)
    # The class without a row stays without: there is nothing to repeat or to spread around.
    assert np.bincount(more_y, minlength=5).tolist() == [0, 30, 40, 60, 0]
    assert more_x.shape == (130, 6)
    assert more_x.dtype == np.float32
    assert np.isfinite(more_x).all()


@pytest.mark.parametrize("name", AUGMENTING)
def test_each_repeats_itself_with_its_seed_and_changes_nothing_it_was_given(name):
    x, y = rows()
    kept = x.copy()
    first, again, other = (AUGMENTING[name](x, y, COUNTS, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("name", AUGMENTING)
def test_a_plan_of_nothing_adds_nothing(name):
    x, y = rows()
    more_x, more_y = AUGMENTING[name](x.astype(np.float16), y, np.zeros(5, np.int64), 0)
    assert more_x.shape == (0, 6)
    assert more_y.shape == (0,)


def test_oversampling_gives_rows_of_the_class():
    x, y = rows()
    more_x, more_y = oversampling(x, y, COUNTS, 0)
    for row, label in zip(more_x, more_y, strict=True):
        assert (x[y == label] == row).all(axis=1).any()


def test_smote_lies_between_two_rows_of_the_class():
    x, y = rows()
    more_x, more_y = smote(x, y, COUNTS, 0)
    of_three = x[y == 2].astype(np.float64)
    pairs = [(of_three[i], of_three[j]) for i in range(3) for j in range(3) if i != j]
    for row in more_x[more_y == 2].astype(np.float64):
        detours = [
            np.linalg.norm(row - a) + np.linalg.norm(row - b) - np.linalg.norm(a - b)
            for a, b in pairs
        ]
        assert min(detours) < 1e-4
    assert len(np.unique(more_x[more_y == 2], axis=0)) > 30


def test_smote_repeats_a_class_of_one_and_says_which():
    x, y = rows()
    more_x, more_y = smote(x, y, COUNTS, 0)
    np.testing.assert_array_equal(more_x[more_y == 3], np.tile(x[y == 3], (60, 1)))
    assert classes_of_one(y, 5) == [3]


@pytest.mark.parametrize("variance", [1.0, 2.0])
def test_the_gaussian_has_class_means_and_the_covariance_that_classes_share(variance):
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    y = np.repeat([0, 1], 3000)
    x = rng.standard_normal((6000, 3)) @ root + np.array([[0, 0, 0], [5, 0, -5]])[y]
    more_x, more_y = gaussian(variance)(x, y, np.array([0, 20_000]), 0)
    assert (more_y == 1).all()
    np.testing.assert_allclose(more_x.mean(axis=0), x[y == 1].mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(more_x.T), variance * root.T @ root, rtol=0.12, atol=0.12)


def test_the_gaussian_stands_fewer_rows_than_dimensions():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 40)).astype(np.float32)
    x[:, 7] = 1.0
    more_x, _ = gaussian(1.0)(x, np.array([0, 0, 0, 1, 1, 1]), np.array([5, 5]), 0)
    assert np.isfinite(more_x).all()


def test_label_shift_takes_the_prior_out():
    logits = np.log(np.array([[0.9, 0.1]]))
    shifted = label_shift(logits, np.array([90, 10]))
    assert shifted[0, 0] == pytest.approx(shifted[0, 1])


def test_label_shift_of_a_class_without_rows_is_finite():
    assert np.isfinite(label_shift(np.zeros((2, 3)), np.array([5, 1, 0]))).all()


def test_the_nearest_mean_goes_by_direction_and_never_to_a_class_without_rows():
    x = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]])
    y = np.array([0, 0, 2, 2])
    far = np.array([[100.0, 0.0], [0.01, 0.0], [-0.5, 0.01]])
    assert nearest_class_mean(x, y, far, 4).tolist() == [0, 0, 2]
