"""Release is granted by what was found on validation rows, and refused in words."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from models.evaluation.data import LabelledRows
from models.evaluation.fidelity import measure_fidelity
from models.evaluation.interval import Interval
from models.evaluation.release import judge
from models.evaluation.spec import ReleaseSpec

GAIN = Interval(0.05, 0.02, 0.08)


@pytest.fixture(scope="module")
def on_val(data, made):
    return measure_fidelity(data, LabelledRows(*made), part="val")


def judged(on_val, data, gain=GAIN, **conditions):
    return judge(ReleaseSpec(**conditions), on_val, gain, data.val)


def test_rows_of_a_perfect_generator_are_released(on_val, data):
    found = judged(
        on_val,
        data,
        min_gain=3,
        min_gain_low=1,
        max_copy_share=0,
        max_near_share=0.15,
        min_nearest_ratio=0.8,
        max_nearest_ratio=1.25,
        max_frechet_ratio=2,
        max_c2st=0.6,
        min_precision=0.7,
        min_recall=0.7,
        min_density=0.7,
        min_coverage=0.7,
    )
    assert found.granted, found.sentence
    assert found.sentence == "All 12 conditions of release_if hold on validation rows."


def test_a_refusal_names_each_condition_that_failed_and_no_other(on_val, data):
    found = judged(on_val, data, min_gain=5.5, min_gain_low=1, max_copy_share=0, min_precision=1)
    assert not found.granted
    assert found.sentence.startswith("Withheld, for on validation rows 2 of 4 conditions")
    assert "min_gain is 5, at least 5.5 is required" in found.sentence
    assert "min_precision is 0." in found.sentence
    assert "min_gain_low" not in found.sentence
    assert "max_copy_share" not in found.sentence


def test_a_bound_that_is_met_exactly_holds(on_val, data):
    assert judged(on_val, data, min_gain=5, max_copy_share=0).granted


def test_what_cannot_be_measured_does_not_hold(data, made):
    few = LabelledRows(made[0][::40], made[1][::40])
    on_val = measure_fidelity(data, few, part="val")
    found = judged(on_val, data, max_c2st=0.9)
    assert not found.granted
    assert "max_c2st could not be measured (" in found.sentence
    assert "50 are needed), at most 0.9 is required" in found.sentence
    assert found.as_json()["conditions"][0]["found"] is None


@pytest.mark.parametrize("rows", [0, 10])
def test_a_gain_on_too_few_validation_rows_counts_for_nothing(on_val, data, rows):
    few = replace(data, val=LabelledRows(data.val.x[:rows], data.val.y[:rows]))
    found = judged(on_val, few, gain=GAIN if rows else None, min_gain=1)
    assert not found.granted
    assert f"{rows} validation rows are too few" in found.sentence


def test_copies_are_withheld_though_all_else_is_perfect(data):
    rows = np.arange(150, len(data.train.y))
    copied = LabelledRows(data.train.x[rows], data.train.y[rows])
    on_val = measure_fidelity(data, copied, part="val")
    for condition in ({"max_copy_share": 0}, {"max_near_share": 0.2}, {"min_nearest_ratio": 0.5}):
        assert not judged(on_val, data, **condition).granted
    assert judged(on_val, data, max_nearest_ratio=1.2).granted


def test_a_gate_needs_a_condition():
    with pytest.raises(ValidationError, match="at least one condition is needed, of min_gain"):
        ReleaseSpec()
    with pytest.raises(ValidationError):
        ReleaseSpec(max_c2st=0.4)


def test_the_gain_on_validation_rows_is_that_of_the_heads(result):
    assert result.val_gain.low <= result.val_gain.mean <= result.val_gain.high
    scores = result.handed_out.val_scores
    assert result.val_gain.mean == pytest.approx(scores["gelda"] - scores["real"], abs=1e-9)
