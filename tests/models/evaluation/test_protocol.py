"""Choosing sees `val` alone, reporting `test` alone, and every arm has the same chances."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import Interrupted
from models.evaluation.choosing import PENALTIES, choose
from models.evaluation.controls import label_shift
from models.evaluation.protocol import evaluate
from models.evaluation.result import Choice, LabelledRows
from models.evaluation.trainer import first_rows, head_seed, items, share_of


def test_items_count_each_class_from_zero():
    labels, counters = items(np.array([2, 0, 3]))
    assert labels.tolist() == [0, 0, 2, 2, 2]
    assert counters.tolist() == [0, 1, 0, 1, 2]


def test_a_share_rounds_up_and_the_whole_is_exact():
    counts = np.array([0, 1, 10, 333])
    assert share_of(counts, 0.25).tolist() == [0, 1, 3, 84]
    assert share_of(counts, 1.0).tolist() == counts.tolist()


def test_first_rows_are_the_lowest_counters_whatever_the_order_of_classes():
    y = np.array([1, 0, 1, 0, 1])
    assert first_rows(y, np.array([1, 2])).tolist() == [1, 0, 2]


def test_head_seeds_differ_by_repeat_and_job():
    assert len({head_seed(seed, repeat) for seed in range(5) for repeat in range(5)}) == 25


def test_validation_takes_the_good_temperature(chosen):
    assert chosen.temperature == 1.0
    assert set(chosen.control_shares) == {"oversampling", "smote", "gaussian_1", "gaussian_2"}
    # Two temperatures at the smallest share, one more share, and two shares for four controls.
    assert [(t.arm, t.temperature, t.share) for t in chosen.trials[:3]] == [
        ("gelda", 2.0, 0.25),
        ("gelda", 1.0, 0.25),
        ("gelda", 1.0, 1.0),
    ]
    assert len(chosen.trials) == 3 + 8 + len(PENALTIES)


def test_the_tuned_rival_has_the_penalty_that_validation_liked_best(
    data, made, quick_head, quick, chosen
):
    tuned = {t.penalty: t.value for t in chosen.trials if t.arm == "tuned_real"}
    assert set(tuned) == set(PENALTIES)
    assert tuned[chosen.penalty] == max(tuned.values())

    spec = quick.model_copy(update={"controls": ("tuned_real",)})
    for penalty, same in ((1.0, True), (10.0, False)):
        choice = Choice(1.0, 1.0, penalty=penalty)
        arms = evaluate(data, made, choice, head=quick_head, spec=spec, seed=3).arms
        equal = np.array_equal(arms["tuned_real"].predictions, arms["real"].predictions)
        assert equal is same


def test_test_rows_have_no_part_in_choosing(data, plan, oracle, quick_head, quick, chosen):
    blind = replace(data, test=LabelledRows(data.test.x[:0], data.test.y[:0]))
    assert choose(blind, oracle, plan, head=quick_head, spec=quick, seed=3) == chosen


def test_validation_rows_do_have_a_part(data, plan, oracle, quick_head, quick, chosen):
    # Validation far from the truth, where only the noisy draws put any row.
    rng = np.random.default_rng(0)
    wrong = LabelledRows(data.val.x, rng.permutation(data.val.y))
    other = choose(replace(data, val=wrong), oracle, plan, head=quick_head, spec=quick, seed=3)
    assert [t.value for t in other.trials] != [t.value for t in chosen.trials]


@pytest.mark.parametrize("empty", ["val", "plan"])
def test_with_nothing_to_choose_by_the_first_candidates_stand(
    data, plan, oracle, quick_head, quick, empty
):
    if empty == "val":
        data = replace(data, val=LabelledRows(data.val.x[:0], data.val.y[:0]))
    else:
        plan = np.zeros_like(plan)
    choice = choose(data, oracle, plan, head=quick_head, spec=quick, seed=3)
    assert (choice.temperature, choice.share, choice.trials) == (2.0, 1.0, ())


def test_a_choice_survives_json(chosen):
    assert Choice.from_json(chosen.as_json()) == chosen


def test_a_true_generator_is_ahead_of_real_rows_and_noise_is_not(
    data, made, oracle, quick_head, quick
):
    result = evaluate(
        data,
        made,
        Choice(1.0, 1.0),
        head=quick_head,
        spec=quick,
        seed=3,
        generators={"shuffled_vectors": lambda y, n, t: oracle(4 - y, n, t)},
    )
    assert result.intervals["real"]["balanced"].standing == "ahead"
    assert result.intervals["shuffled_vectors"]["balanced"].standing == "ahead"
    assert result.head_arm == "gelda"
    assert set(result.arms) == {
        "real", "gelda", "tuned_real", "oversampling", "smote", "gaussian_1", "gaussian_2", "label_shift",
        "nearest_class_mean", "shuffled_vectors",
    }  # fmt: skip
    assert {len(arm.predictions) for arm in result.arms.values()} == {1, 2}

    # Rows of each class under the name of the next: a generator that has learnt nothing right.
    harmed = evaluate(
        data, (made[0], (made[1] + 1) % 5), Choice(1.0, 1.0), head=quick_head, spec=quick, seed=3
    )
    assert harmed.intervals["real"]["balanced"].standing == "behind"
    assert harmed.head_arm == "real"


def test_the_chosen_share_is_what_heads_are_trained_with(data, made, plan, quick_head, quick):
    found = evaluate(
        data,
        made,
        Choice(1.0, 0.25, {"smote": 0.5}),
        head=quick_head,
        spec=quick.model_copy(update={"controls": ("smote", "oversampling")}),
        seed=3,
    )
    assert found.arms["gelda"].rows_added == share_of(plan, 0.25).sum()
    assert found.arms["smote"].rows_added == share_of(plan, 0.5).sum()
    assert found.arms["oversampling"].rows_added == plan.sum()


def test_an_arm_without_added_rows_equals_real_rows_alone(data, quick_head, quick):
    nothing = np.empty((0, 6), np.float32), np.empty(0, np.int64)
    result = evaluate(data, nothing, Choice(1.0, 1.0), head=quick_head, spec=quick, seed=3)
    for name in ("gelda", "oversampling", "smote", "gaussian_1"):
        np.testing.assert_array_equal(
            result.arms[name].predictions, result.arms["real"].predictions
        )
    assert result.intervals["real"]["balanced"].mean == 0


def test_label_shift_moves_a_plain_head_even_where_the_arms_adjust_their_own(
    data, made, quick_head, quick
):
    spec = quick.model_copy(update={"controls": ("label_shift",)})
    plain = evaluate(data, made, Choice(1.0, 1.0), head=quick_head, spec=spec, seed=3)
    adjusted_head = quick_head.model_copy(update={"loss": "logit_adjusted"})
    adjusted = evaluate(data, made, Choice(1.0, 1.0), head=adjusted_head, spec=spec, seed=3)
    np.testing.assert_array_equal(
        plain.arms["label_shift"].predictions, adjusted.arms["label_shift"].predictions
    )
    assert not np.array_equal(plain.arms["real"].predictions, adjusted.arms["real"].predictions)


def test_predictions_of_a_checkpoint_enter_as_they_are(data, made, quick_head, quick):
    logits = np.random.default_rng(0).standard_normal((len(data.test.y), 5))
    said = label_shift(logits, data.train_counts).argmax(axis=1)
    result = evaluate(
        data,
        made,
        Choice(1.0, 1.0),
        head=quick_head,
        spec=quick.model_copy(update={"controls": ()}),
        seed=3,
        given={"own": ("its own head", said)},
    )
    np.testing.assert_array_equal(result.arms["own"].predictions, said[None])
    assert result.arms["own"].label == "its own head"
    assert set(result.predictions()) == {"real", "gelda", "own", "y", "classes"}


def test_equal_seeds_give_equal_results(data, made, quick_head, quick):
    first, again = (
        evaluate(data, made, Choice(1.0, 1.0), head=quick_head, spec=quick, seed=3)
        for _ in range(2)
    )
    assert first.intervals == again.intervals
    for name, values in first.predictions().items():
        np.testing.assert_array_equal(values, again.predictions()[name])


def test_progress_ends_where_it_said_it_would(data, plan, oracle, made, quick_head, quick):
    for work in (
        lambda seen: choose(
            data, oracle, plan, head=quick_head, spec=quick, seed=3,
            on_progress=lambda *step: seen.append(step),
        ),
        lambda seen: evaluate(
            data, made, Choice(1.0, 1.0), head=quick_head, spec=quick, seed=3,
            on_progress=lambda *step: seen.append(step),
        ),
    ):  # fmt: skip
        steps = []
        work(steps)
        assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
        assert {total for _, total in steps} == {len(steps)}


def test_a_stop_is_obeyed(data, made, quick_head, quick):
    with pytest.raises(Interrupted):
        evaluate(
            data, made, Choice(1.0, 1.0), head=quick_head, spec=quick, seed=3,
            should_stop=lambda: True,
        )  # fmt: skip


def test_without_a_test_row_there_is_no_report(data, made, quick_head, quick):
    bare = replace(data, test=LabelledRows(data.test.x[:0], data.test.y[:0]))
    with pytest.raises(ValueError, match="no test row"):
        evaluate(bare, made, Choice(1.0, 1.0), head=quick_head, spec=quick, seed=3)
