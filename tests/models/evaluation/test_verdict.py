"""The first words of a report, for every way that it can end."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from models.evaluation.interval import Interval
from models.evaluation.result import LABELS
from models.evaluation.verdict import bracket, points, verdict

AHEAD, LEVEL, BEHIND = (0.071, 0.059, 0.084), (0.001, -0.006, 0.008), (-0.02, -0.03, -0.011)
NONE = (float("nan"),) * 3


@dataclass
class Found:
    """What the verdict reads of a result."""

    intervals: dict
    arms: dict
    metric: str = "balanced_accuracy"


def found(metric="balanced_accuracy", groups=(NONE, NONE, NONE), **outcomes):
    columns = {
        name: {
            "all": Interval(*outcome),
            "balanced": Interval(*outcome),
            "many": Interval(*groups[0]),
            "medium": Interval(*groups[1]),
            "few": Interval(*groups[2]),
        }
        for name, outcome in outcomes.items()
    }
    arms = {name: SimpleNamespace(label=LABELS.get(name, name)) for name in columns}
    return verdict(Found(columns, arms, metric))


def test_a_gain_that_no_control_reaches():
    said = found(real=AHEAD, smote=AHEAD, gaussian_1=(0.02, 0.01, 0.03))
    assert said["helps"]
    assert said["sentence"] == (
        "GeLDA's latents raise balanced accuracy by +7.1 points [5.9, 8.4] over real rows alone, "
        "and it is ahead of every control: of the nearest, Gaussian ×1, by +2.0 [1.0, 3.0]."
    )
    assert (said["best_control"], said["as_good_or_better"]) == ("gaussian_1", [])
    assert (said["difference"], said["low"], said["high"]) == (7.1, 5.9, 8.4)


def test_a_gain_that_a_cheaper_control_has_as_well():
    said = found(real=AHEAD, smote=LEVEL, oversampling=AHEAD)
    assert said["helps"]
    assert said["sentence"].endswith("; SMOTE does as well (GeLDA minus it: +0.1 [−0.6, 0.8]).")
    assert said["as_good_or_better"] == ["smote"]


def test_several_controls_that_do_as_well_are_counted():
    said = found(real=AHEAD, smote=LEVEL, gaussian_1=LEVEL, gaussian_2=LEVEL)
    assert ", and 2 other controls do too." in said["sentence"]


def test_a_gain_that_a_control_exceeds():
    said = found(real=AHEAD, label_shift=BEHIND, smote=LEVEL)
    assert said["helps"]
    assert said["sentence"].endswith(
        "; post-hoc label shift does better, by +2.0 points [1.1, 3.0]."
    )
    assert said["best_control"] == "label_shift"


def test_no_gain_is_said_first():
    said = found(real=LEVEL, smote=AHEAD, gaussian_1=LEVEL)
    assert not said["helps"]
    assert said["sentence"] == (
        "No gain was shown: with GeLDA's latents balanced accuracy changes by +0.1 points "
        "[−0.6, 0.8] against real rows alone; of 2 controls it is ahead of 1 and level with 1."
    )


def test_harm_is_called_harm():
    said = found(real=BEHIND)
    assert not said["helps"]
    assert said["sentence"].startswith(
        "GeLDA's latents do harm: balanced accuracy changes by −2.0 points [−3.0, −1.1]"
    )
    assert said["standing"] == "behind"
    assert said["best_control"] is None


def test_vectors_are_a_matter_of_their_own_and_no_cheaper_control():
    said = found(real=AHEAD, smote=AHEAD, one_hot=LEVEL, shuffled_vectors=AHEAD)
    assert said["as_good_or_better"] == []
    assert said["details"] == [
        "The class vectors are level with one-hot vectors (+0.1 [−0.6, 0.8]) and ahead of the same "
        "vectors shuffled among classes (+7.1 [5.9, 8.4])."
    ]


def test_groups_are_told_where_there_are_two_or_more():
    said = found(real=AHEAD, groups=(BEHIND, NONE, AHEAD))
    assert said["details"] == [
        "Recall against real rows alone, by training rows a class: many −2.0 [−3.0, −1.1], "
        "few +7.1 [5.9, 8.4]."
    ]
    assert found(real=AHEAD, groups=(NONE, NONE, AHEAD))["details"] == []


def test_accuracy_is_named_where_it_was_asked_for():
    assert "raise accuracy by" in found(metric="accuracy", real=AHEAD)["sentence"]


@pytest.mark.parametrize(
    ("value", "words"), [(0.0712, "+7.1"), (-0.02, "−2.0"), (0.0, "0.0"), (-0.0001, "0.0")]
)
def test_points_carry_a_true_minus_and_no_sign_at_zero(value, words):
    assert points(value) == words


def test_brackets_carry_no_plus():
    assert bracket(Interval(0.01, -0.005, 0.02)) == "[−0.5, 2.0]"
