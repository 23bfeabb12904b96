"""What the arms of a GLICO job are trained with, and what each may choose."""

import numpy as np
import pytest
import torch

from models.errors import InputProblem
from models.evaluation.spec import EvaluateSpec
from models.glico.spec import GlicoSpec
from models.planning.spec import PlanSpec
from workers.pipelines.glico_arms import (
    arms_of,
    candidates,
    classifier_of,
    first_setting,
    probability_of,
    shown,
    source_of,
)
from workers.pipelines.glico_training import planned_images, refuse_without_pairs

DATASET = "ds_" + "0" * 32
SPEC = GlicoSpec(dataset=DATASET)
EVERY = EvaluateSpec()


def test_every_arm_looks_at_the_spec_s_own_setting_first_and_tries_the_penalties() -> None:
    for arm in arms_of(SPEC, EVERY):
        tried = candidates(arm, SPEC, EVERY)
        assert [one["penalty"] for one in tried[:3]] == list(EVERY.penalties)
        assert len({tuple(sorted(one.items())) for one in tried}) == len(tried) <= EVERY.budget
        assert first_setting(arm, SPEC, EVERY) == tried[0]
        assert tried[0].get("probability", 0.75) == 0.75


def test_rivals_that_mix_as_the_method_does_choose_among_the_same_ways() -> None:
    ways = {
        arm: [{k: v for k, v in one.items() if k != "penalty"} for one in tried[::3]]
        for arm in arms_of(SPEC, EVERY)
        if (tried := candidates(arm, SPEC, EVERY))
    }
    assert ways["glico"] == [
        {"probability": 0.75, "mixup": 0.0},
        {"probability": 1.0, "mixup": 0.0},
        {"probability": 0.75, "mixup": 1.0},
        {"probability": 0.5, "mixup": 0.3},
    ]
    faded = [way | {"mixup": way.get("mixup", 0.0)} for way in ways["cross_fade"]]
    assert faded + ways["cross_fade_mixup"] == ways["glico"]
    assert ways["mixup"] == [{"mixup": 1.0}, {"mixup": 0.3}]
    assert ways["real"] == ways["cutout"] == ways["published"] == [{}]


def test_the_budget_bounds_what_is_tried() -> None:
    few = EvaluateSpec(budget=4)
    assert [len(candidates(arm, SPEC, few)) for arm in ("real", "glico", "mixup")] == [3, 4, 4]


def test_a_classifier_with_mixup_of_its_own_keeps_it_in_every_arm() -> None:
    spec = GlicoSpec(dataset=DATASET, classifier={"mixup": 0.2})
    assert not {"mixup", "cross_fade_mixup"} & set(arms_of(spec, EVERY))
    for arm in arms_of(spec, EVERY):
        for setting in candidates(arm, spec, EVERY):
            assert classifier_of(arm, setting, spec.classifier).mixup == 0.2


def test_arms_differ_in_what_they_are_named_for() -> None:
    def of(arm: str) -> tuple[object, ...]:
        setting = first_setting(arm, SPEC, EVERY)
        made = classifier_of(arm, setting, SPEC.classifier)
        return made.augmentation, made.mixup, probability_of(arm, setting), made.weight_decay

    assert {arm: of(arm) for arm in arms_of(SPEC, EVERY)} == {
        "real": ("none", 0.0, 0.0, 5e-3),
        "glico": ("none", 0.0, 0.75, 5e-3),
        "cutout": ("cutout", 0.0, 0.0, 5e-3),
        "randaugment": ("randaugment", 0.0, 0.0, 5e-3),
        "mixup": ("none", 1.0, 0.0, 5e-3),
        "cross_fade": ("none", 0.0, 0.75, 5e-3),
        "cross_fade_mixup": ("none", 1.0, 0.75, 5e-3),
        "published": ("none", 0.0, 0.5, 5e-3),
    }
    assert shown("glico", first_setting("glico", SPEC, EVERY), SPEC.classifier) == 36_000


def test_controls_that_are_not_usual_are_run_where_they_are_named() -> None:
    named = EvaluateSpec(controls=("color", "cutmix", "text_to_image"))
    assert arms_of(SPEC, named) == ["real", "glico", "color", "cutmix"]
    made = {
        arm: classifier_of(arm, first_setting(arm, SPEC, named), SPEC.classifier)
        for arm in ("color", "cutmix")
    }
    assert (made["color"].augmentation, made["color"].cutmix) == ("color", 0.0)
    assert (made["cutmix"].augmentation, made["cutmix"].cutmix) == ("none", 1.0)


def test_no_arm_mixes_a_batch_twice() -> None:
    spec = GlicoSpec(dataset=DATASET, classifier={"cutmix": 1.0})
    assert not {"mixup", "cross_fade_mixup"} & set(arms_of(spec, EVERY))
    for arm in arms_of(spec, EVERY):
        for setting in candidates(arm, spec, EVERY):
            made = classifier_of(arm, setting, spec.classifier)
            assert (made.cutmix, made.mixup) == (1.0, 0.0)


def test_without_evaluation_there_is_one_arm_at_the_spec_s_own_setting() -> None:
    off = EvaluateSpec(enabled=False, penalties=(4.0,))
    assert arms_of(SPEC, off) == ["glico"]
    assert (
        classifier_of("glico", first_setting("glico", SPEC, off), SPEC.classifier)
        == SPEC.classifier
    )


def test_a_cross_fade_loads_no_generator() -> None:
    x, y = np.zeros((4, 16, 16, 3), np.uint8), np.array([0, 0, 1, 1])

    def generator() -> None:
        pytest.fail("a generator was loaded")

    source = source_of("cross_fade", SPEC, x, y, 2, generator, "cpu")  # type: ignore[arg-type]
    assert source is not None
    made = source(torch.tensor([0, 3]), torch.Generator().manual_seed(0))
    assert made.shape == (2, 3, 16, 16)
    assert source_of("mixup", SPEC, x, y, 2, generator, "cpu") is None  # type: ignore[arg-type]


def test_classes_without_a_pair_are_left_out_of_the_plan_and_named() -> None:
    counts = np.array([5, 1, 0, 2])
    wanted, skipped = planned_images(PlanSpec(raise_to=6), ["a", "b", "c", "d"], counts)
    assert wanted.tolist() == [1, 0, 0, 4]
    assert skipped == {"b": 5, "c": 6}


def test_what_can_have_no_pair_is_refused() -> None:
    with pytest.raises(InputProblem) as caught:
        refuse_without_pairs(np.array([1, 1, 0]))
    assert (caught.value.code, caught.value.param) == ("too_few_images", "dataset")
    assert "2 in 3 classes" in caught.value.detail
