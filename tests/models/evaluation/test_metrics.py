import numpy as np
import pytest

from models.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    log_score,
    measure,
    recalls,
    shot_groups,
)

Y = np.array([0, 0, 0, 0, 1, 1])
RIGHT = np.array([[True, True, True, False, False, False], [True] * 4 + [True, False]])


def test_recall_is_by_class_and_seed():
    np.testing.assert_allclose(recalls(RIGHT, Y, 2), [[0.75, 0.0], [1.0, 0.5]])


def test_a_class_without_rows_has_no_recall_and_does_not_count():
    assert np.isnan(recalls(RIGHT, Y, 3)[:, 2]).all()
    assert balanced_accuracy(RIGHT, Y, 3) == pytest.approx((0.375 + 0.75) / 2)
    assert np.isnan(balanced_accuracy(RIGHT, Y, 3, np.array([2])))


def test_accuracy_counts_rows_and_balanced_accuracy_classes():
    assert accuracy(RIGHT) == pytest.approx(8 / 12)
    assert measure(RIGHT, Y, 2, "accuracy") == accuracy(RIGHT)
    assert measure(RIGHT, Y, 2, "balanced_accuracy") == balanced_accuracy(RIGHT, Y, 2)


def test_the_log_score_weighs_rows_or_classes_and_knows_how_sure_a_head_is():
    # Three rows of class 0, one of class 1, none of class 2; whatever is added to a row cancels out.
    said = np.array([[0.8, 0.1, 0.1], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    logits, y = np.log(said) + np.array([[1e3], [0], [-5], [2]]), np.array([0, 0, 0, 1])
    own = np.log([0.8, 0.5, 0.5, 0.25])
    assert log_score(logits, y, 3, "accuracy") == pytest.approx(own.mean())
    balanced = (own[:3].mean() + own[3]) / 2
    assert log_score(logits, y, 3, "balanced_accuracy") == pytest.approx(balanced)


def test_groups_part_at_20_and_100_rows():
    groups = shot_groups(np.array([500, 101, 100, 20, 19, 0]))
    assert {name: labels.tolist() for name, labels in groups.items()} == {
        "many": [0, 1],
        "medium": [2, 3],
        "few": [4, 5],
    }
