"""What validation judges classifiers by: the right class's log-probability at its best temperature."""

import numpy as np
import pytest
from scipy.special import log_softmax

from models.images.scoring import log_score


@pytest.fixture
def said() -> tuple[np.ndarray, np.ndarray]:
    """Logits of 200 images in five classes that are right more often than not, and the classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(5, size=200)
    return rng.normal(size=(200, 5)) + 1.5 * np.eye(5)[y], y


@pytest.mark.parametrize("factor", [0.05, 0.5, 3.0, 15.0])
def test_how_sure_a_classifier_is_changes_nothing(said, factor: float):
    logits, y = said
    assert log_score(factor * logits, y) == pytest.approx(log_score(logits, y), abs=1e-5)


def test_a_number_added_to_all_logits_of_an_image_changes_nothing(said):
    logits, y = said
    moved = logits + np.arange(len(y))[:, None]
    assert log_score(moved, y) == pytest.approx(log_score(logits, y), abs=1e-5)


def test_it_is_the_best_of_all_temperatures(said):
    logits, y = said
    tried = [
        log_softmax(logits / t, axis=1)[np.arange(len(y)), y].mean()
        for t in np.exp(np.linspace(-3, 3, 601))
    ]
    assert log_score(logits, y) == pytest.approx(max(tried), abs=1e-4)
    assert log_score(logits, y) >= max(tried) - 1e-9


def test_who_knows_nothing_scores_as_guessing_does():
    y = np.arange(40) % 4
    assert log_score(np.zeros((40, 4), np.float32), y) == pytest.approx(np.log(1 / 4))
    against = -np.eye(4)[y]  # for what is wrong, no temperature is worth more than all being equal
    assert np.log(1 / 4) > log_score(against, y) > np.log(1 / 4) - 0.05


def test_of_two_classifiers_the_one_that_is_right_more_often_scores_higher(said):
    logits, y = said
    worse = np.where(np.arange(len(y))[:, None] % 3 == 0, logits[:, ::-1], logits)
    assert log_score(worse, y) < log_score(logits, y) - 0.1


def test_a_rare_class_weighs_as_much_as_a_frequent_one_where_classes_weigh_alike():
    y = np.array([0, 0, 0, 1])
    logits = np.array([[2.0, 0.0], [1.5, 0.0], [1.0, 0.2], [0.3, 0.0]])
    whole = log_score(logits, y, balanced=True)
    often = [0, 1, 2, 3, 3, 3]
    assert whole == pytest.approx(log_score(logits[often], y[often]), abs=1e-9)
    assert whole < log_score(logits, y)
