"""Choosing sees `val` alone, reporting `test` alone, and every arm has the same chances."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import Interrupted
from models.evaluation.choosing import Level, choose
from models.evaluation.data import EvaluationData, LabelledRows
from models.evaluation.protocol import evaluate
from models.evaluation.settings import Choice, Setting, search
from models.evaluation.trainer import first_rows, head_seed, items, share_of
from models.front.front import Front
from models.gelda.spec import SamplerSpec

PLAIN = Choice(0)


def validated(data, draw, plan, head, spec, **watch):
    levels = {0: Level(data, draw)}
    return choose(levels, plan, head=head, spec=spec, sampler=SamplerSpec(), seed=3, **watch)


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


def test_validation_takes_the_good_temperature(chosen, quick):
    assert chosen.of("gelda").temperature == 1.0
    of_gelda = [trial.setting for trial in chosen.trials if trial.arm == "gelda"]
    # Two temperatures, then one more share at the better, then two more penalties at the best.
    assert [(s.temperature, s.share, s.penalty) for s in of_gelda[:3]] == [
        (2.0, 1.0, 1.0),
        (1.0, 1.0, 1.0),
        (1.0, 0.25, 1.0),
    ]
    assert len(of_gelda) == 3 + len(quick.penalties) - 1


def test_every_arm_that_trains_heads_chooses_its_penalty_in_the_same_way(chosen, quick):
    arms = {"real", "gelda", "logit_adjusted", "oversampling", "smote", "gaussian_1", "gaussian_2"}
    assert set(chosen.settings) == arms
    for arm in arms:
        trials = [trial for trial in chosen.trials if trial.arm == arm]
        best = max(trial.score for trial in trials)
        assert {trial.setting.penalty for trial in trials} == set(quick.penalties)
        assert best == next(t.score for t in trials if t.setting == chosen.of(arm))


def test_the_chosen_penalty_is_what_the_arm_is_trained_with(data, made, quick_head, quick):
    spec = quick.model_copy(update={"controls": ()})
    said = []
    for penalty in (1.0, 30.0):
        choice = Choice(0, {"real": Setting(penalty=penalty)})
        arms = evaluate(data, made, choice, head=quick_head, spec=spec, seed=3).arms
        said.append(arms["real"].predictions)
    assert not np.array_equal(*said)


def test_search_goes_along_one_axis_after_the_other_within_its_budget():
    looked = []

    def value(setting):
        looked.append(setting)
        return -abs(setting.share - 0.5) - abs(setting.penalty - 10)

    axes = {"share": (1.0, 0.5, 0.25), "penalty": (1.0, 10.0)}
    assert search(axes, value, 10) == Setting(share=0.5, penalty=10.0)
    assert len(looked) == 1 + 2 + 1
    assert search(axes, value, 2) == Setting(share=0.5)
    # Where all are alike, the first candidates stand.
    assert search(axes, lambda _setting: 0.5, 10) == Setting()


def test_test_rows_have_no_part_in_choosing(data, plan, oracle, quick_head, quick, chosen):
    blind = replace(data, test=LabelledRows(data.test.x[:0], data.test.y[:0]))
    assert validated(blind, oracle, plan, quick_head, quick) == chosen


def test_validation_rows_do_have_a_part(data, plan, oracle, quick_head, quick, chosen):
    # Validation far from the truth, where only the noisy draws put any row.
    rng = np.random.default_rng(0)
    wrong = LabelledRows(data.val.x, rng.permutation(data.val.y))
    other = validated(replace(data, val=wrong), oracle, plan, quick_head, quick)
    assert [t.score for t in other.trials] != [t.score for t in chosen.trials]


def test_validation_takes_the_layer_whose_latents_serve_best(data, plan, oracle, quick_head, quick):
    noise = np.random.default_rng(1)
    blurred = replace(
        data,
        **{
            part: replace(rows, x=noise.standard_normal(rows.x.shape).astype(np.float32))
            for part, rows in (("train", data.train), ("val", data.val))
        },
    )
    spec = quick.model_copy(update={"temperatures": (1.0,), "controls": ()})
    for levels in ({0: blurred, 1: data}, {0: data, 1: blurred}):
        made = {layer: Level(rows, oracle) for layer, rows in levels.items()}
        found = choose(made, plan, head=quick_head, spec=spec, sampler=SamplerSpec(), seed=3)
        assert levels[found.layer] is data


@pytest.mark.parametrize("empty", ["val", "plan"])
def test_with_nothing_to_choose_by_the_first_candidates_stand(
    data, plan, oracle, quick_head, quick, empty
):
    if empty == "val":
        data = replace(data, val=LabelledRows(data.val.x[:0], data.val.y[:0]))
    else:
        plan = np.zeros_like(plan)
    choice = validated(data, oracle, plan, quick_head, quick)
    assert choice.of("gelda") == Setting(temperature=2.0, guidance=1.0)
    assert choice.trials == ()


def test_a_choice_survives_json(chosen):
    assert Choice.from_json(chosen.as_json()) == chosen


def test_a_true_generator_is_ahead_of_real_rows_and_noise_is_not(
    data, made, oracle, quick_head, quick
):
    related = replace(data, similarity=np.eye(5))
    result = evaluate(
        related,
        made,
        Choice(0, {"gelda": Setting(temperature=1.0)}),
        head=quick_head,
        spec=quick,
        seed=3,
        generators={"shuffled_vectors": lambda cells, n, setting: oracle(4 - cells, n, setting)},
    )
    assert result.intervals["real"]["balanced"].standing == "ahead"
    assert result.intervals["shuffled_vectors"]["balanced"].standing == "ahead"
    assert result.handed_out.arm == "gelda"
    assert result.handed_out.spec == result.head.spec.model_dump(mode="json")
    assert set(result.arms) == {
        "real", "gelda", "logit_adjusted", "oversampling", "smote", "gaussian_1", "gaussian_2",
        "gaussian_shrunk", "label_shift", "nearest_class_mean", "shuffled_vectors",
    }  # fmt: skip
    assert {len(arm.predictions) for arm in result.arms.values()} == {1, 2}

    # Rows of each class under the name of the next: a generator that has learnt nothing right.
    harmed = evaluate(
        data, (made[0], (made[1] + 1) % 5), PLAIN, head=quick_head, spec=quick, seed=3
    )
    assert harmed.intervals["real"]["balanced"].standing == "behind"
    assert harmed.handed_out.arm == "real"


def test_the_chosen_share_is_what_heads_are_trained_with(data, made, plan, quick_head, quick):
    found = evaluate(
        data,
        made,
        Choice(0, {"gelda": Setting(share=0.25), "smote": Setting(share=0.5)}),
        head=quick_head,
        spec=quick.model_copy(update={"controls": ("smote", "oversampling")}),
        seed=3,
    )
    assert found.arms["gelda"].rows_added == share_of(plan, 0.25).sum()
    assert found.arms["smote"].rows_added == share_of(plan, 0.5).sum()
    assert found.arms["oversampling"].rows_added == plan.sum()


def test_an_arm_without_added_rows_equals_real_rows_alone(data, quick_head, quick):
    nothing = np.empty((0, 6), np.float32), np.empty(0, np.int64)
    result = evaluate(data, nothing, PLAIN, head=quick_head, spec=quick, seed=3)
    for name in ("gelda", "oversampling", "smote", "gaussian_1"):
        for said in result.arms[name].predictions:
            np.testing.assert_array_equal(said, result.arms["real"].predictions[0])
    assert result.intervals["real"]["balanced"].mean == 0


def test_real_rows_alone_have_a_plain_head_whatever_the_arms_have(data, made, quick_head, quick):
    spec = quick.model_copy(update={"controls": ("label_shift", "logit_adjusted")})
    plain = evaluate(data, made, PLAIN, head=quick_head, spec=spec, seed=3)
    adjusted_head = quick_head.model_copy(update={"loss": "logit_adjusted"})
    adjusted = evaluate(data, made, PLAIN, head=adjusted_head, spec=spec, seed=3)
    for name in ("real", "label_shift", "logit_adjusted"):
        np.testing.assert_array_equal(plain.arms[name].predictions, adjusted.arms[name].predictions)
    assert not np.array_equal(plain.arms["gelda"].predictions, adjusted.arms["gelda"].predictions)
    assert not np.array_equal(
        plain.arms["real"].predictions, plain.arms["logit_adjusted"].predictions
    )


def test_a_head_that_uses_meaning_is_given_to_real_rows_alone_as_well(
    data, made, quick_head, quick
):
    kernel = quick_head.model_copy(update={"head": "kernel", "semantic_share": 0.9})
    alike = replace(data, similarity=0.5 * np.eye(5) + 0.5)
    found = evaluate(alike, made, PLAIN, head=kernel, spec=quick, seed=3)
    assert "same_head" in found.arms
    linear = evaluate(alike, made, PLAIN, head=quick_head, spec=quick, seed=3)
    assert "same_head" not in linear.arms
    np.testing.assert_array_equal(found.arms["real"].predictions, linear.arms["real"].predictions)


def test_cells_without_rows_have_a_column_and_rivals_of_their_own(quick_head, quick):
    """Two classes in two places; the second class was never seen in the second place."""
    rng = np.random.default_rng(0)
    cells = np.repeat(np.arange(4), 80)
    y, place = np.divmod(cells, 2)
    corner = np.array([[0, 0], [0, 3], [3, 0], [3, 3]], np.float32)[cells]
    x = (corner + rng.standard_normal((320, 2))).astype(np.float32)
    split = np.tile([0, 1, 2, 2], 80).astype(np.int8)
    split[(cells == 3) & (split < 2)] = 2
    data = EvaluationData.of(
        x,
        y,
        split,
        ("a", "b"),
        front=Front.identity(2),
        subdomain=place,
        subdomains=("here", "there"),
    )
    assert data.cell_counts.tolist() == [20, 20, 20, 0]
    added = np.repeat(3, 40), (np.array([3, 3]) + rng.standard_normal((40, 2))).astype(np.float32)
    result = evaluate(data, (added[1], added[0]), PLAIN, head=quick_head, spec=quick, seed=3)
    unseen = result.intervals["real"]["unseen"]
    assert unseen.mean >= 0
    assert {"cell_gaussian", "cell_transport"} <= set(result.arms)
    right = result.correct("cell_gaussian")[:, (y == 1)[split == 2] & (place == 1)[split == 2]]
    assert right.mean() > 0.6


def test_equal_seeds_give_equal_results(data, made, quick_head, quick):
    first, again = (
        evaluate(data, made, PLAIN, head=quick_head, spec=quick, seed=3) for _ in range(2)
    )
    assert first.intervals == again.intervals
    for name, values in first.predictions().items():
        np.testing.assert_array_equal(values, again.predictions()[name])


def test_progress_ends_where_it_said_it_would(data, plan, oracle, made, quick_head, quick):
    for work in (
        lambda seen: validated(
            data, oracle, plan, quick_head, quick, on_progress=lambda *step: seen.append(step)
        ),
        lambda seen: evaluate(
            data, made, PLAIN, head=quick_head, spec=quick, seed=3,
            on_progress=lambda *step: seen.append(step),
        ),
    ):  # fmt: skip
        steps = []
        work(steps)
        done = [one for one, _ in steps]
        assert done == sorted(done)
        assert {total for _, total in steps} == {done[-1]}


def test_a_stop_is_obeyed(data, made, quick_head, quick):
    with pytest.raises(Interrupted):
        evaluate(
            data, made, PLAIN, head=quick_head, spec=quick, seed=3,
            should_stop=lambda: True,
        )  # fmt: skip


def test_without_a_test_row_there_is_no_report(data, made, quick_head, quick):
    bare = replace(data, test=LabelledRows(data.test.x[:0], data.test.y[:0]))
    with pytest.raises(ValueError, match="no test row"):
        evaluate(bare, made, PLAIN, head=quick_head, spec=quick, seed=3)
