"""What validation judges classifiers on images by."""

import numpy as np
import pytest

from models.images.scoring import log_score

Y = np.array([0, 0, 0, 1])
LOGITS = np.array([[2.0, 0.0], [1.5, 0.0], [1.0, 0.2], [0.3, 0.0]])


def test_how_sure_a_classifier_says_it_is_changes_nothing() -> None:
    assert log_score(LOGITS, Y) == pytest.approx(log_score(7 * LOGITS, Y), abs=1e-5)
    assert log_score(LOGITS, Y) > log_score(LOGITS[:, ::-1], Y)


def test_a_rare_class_weighs_as_much_as_a_frequent_one_where_classes_weigh_alike() -> None:
    whole = log_score(LOGITS, Y, balanced=True)
    repeated = log_score(LOGITS[[0, 1, 2, 3, 3, 3]], Y[[0, 1, 2, 3, 3, 3]])
    assert whole == pytest.approx(repeated, abs=1e-9)
    assert whole < log_score(LOGITS, Y)
