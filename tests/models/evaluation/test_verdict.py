"""The first words of a report, for every way that it can end."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from models.evaluation.arms import GELDA, GLICO, Method, labels_of
from models.evaluation.interval import Interval
from models.evaluation.verdict import bracket, points, verdict

AHEAD, LEVEL, BEHIND = (0.071, 0.059, 0.084), (0.001, -0.006, 0.008), (-0.02, -0.03, -0.011)
NONE = (float("nan"),) * 3


@dataclass
class Found:
    """What the verdict reads of a result."""

    intervals: dict
    arms: dict
    metric: str
    data: SimpleNamespace
    method: Method
    domains: None = None


ENOUGH = np.arange(20) % 2


def found(
    metric="balanced_accuracy",
    groups=(NONE, NONE, NONE),
    y=ENOUGH,
    rows_added=9,
    method=GELDA,
    **outcomes,
):
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
    arms = {
        name: SimpleNamespace(label=labels_of(method).get(name, name), rows_added=rows_added)
        for name in (*columns, method.name)
    }
    return verdict(Found(columns, arms, metric, SimpleNamespace(test=SimpleNamespace(y=y)), method))


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


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros(1, int), "1 test row of 1 class."),
        (np.zeros(500, int), "500 test rows of 1 class."),
        (np.arange(19) % 3, "19 test rows of 3 classes."),
    ],
)
def test_nothing_is_concluded_from_next_to_nothing(y, said):
    outcome = found(real=BEHIND, smote=AHEAD, groups=(AHEAD, AHEAD, NONE), y=y)
    assert outcome["sentence"].startswith("Too little is held out to tell whether it helps: ")
    assert said in outcome["sentence"]
    assert (outcome["helps"], outcome["standing"]) == (False, "unknown")
    assert outcome["details"] == []


def test_a_plan_without_rows_is_not_called_a_method_without_gain():
    outcome = found(real=LEVEL, rows_added=0)
    assert outcome["sentence"].startswith("Nothing was added")
    assert outcome["standing"] == "unknown"


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


def test_images_are_called_images_and_their_method_by_its_name():
    said = found(
        method=GLICO, metric="accuracy", real=AHEAD, mixup=LEVEL, groups=(NONE, LEVEL, AHEAD)
    )
    assert said["sentence"] == (
        "GLICO's images raise accuracy by +7.1 points [5.9, 8.4] over real images alone; real images, "
        "mixup does as well (GLICO minus it: +0.1 [−0.6, 0.8])."
    )
    assert said["details"] == [
        "Recall against real images alone, by training images a class: medium +0.1 [−0.6, 0.8], "
        "few +7.1 [5.9, 8.4]."
    ]
    little = found(method=GLICO, real=AHEAD, y=np.zeros(3, int))
    assert "3 test images of 1 class" in little["sentence"]
    nothing = found(method=GLICO, real=LEVEL, rows_added=0)
    assert nothing["sentence"].endswith("no image of the training was synthetic.")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (AHEAD, "ahead of the published one (+7.1 [5.9, 8.4])."),
        (BEHIND, "behind the published one (−2.0 [−3.0, −1.1])."),
    ],
)
def test_the_published_form_is_told_and_no_rival(outcome, words):
    said = found(method=GLICO, real=AHEAD, cutout=AHEAD, published=outcome)
    assert said["best_control"] == "cutout"
    assert said["as_good_or_better"] == []
    assert said["details"] == [f"GLICO in this form is {words}"]


@pytest.mark.parametrize(
    ("value", "words"), [(0.0712, "+7.1"), (-0.02, "−2.0"), (0.0, "0.0"), (-0.0001, "0.0")]
)
def test_points_carry_a_true_minus_and_no_sign_at_zero(value, words):
    assert points(value) == words


def test_brackets_carry_no_plus():
    assert bracket(Interval(0.01, -0.005, 0.02)) == "[−0.5, 2.0]"
