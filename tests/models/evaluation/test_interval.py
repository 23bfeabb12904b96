"""The one interval: paired, hierarchical, right in width, quick enough for 10,000 rows."""

import time

import numpy as np
import pytest

from models.evaluation.interval import Interval, paired_interval, paired_statistic


def outcomes(seeds=3, classes=5, rows=40, a=0.7, b=0.6, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), rows)
    return rng.random((seeds, len(y))) < a, rng.random((seeds, len(y))) < b, y


def plain_bootstrap(a, b, y, draws=4000):
    """The definition, row by row."""
    rng = np.random.default_rng(1)
    difference = a.astype(float) - b
    by_class = [np.flatnonzero(y == label) for label in np.unique(y)]
    values = []
    for _ in range(draws):
        seeds = rng.integers(0, len(a), len(a))
        rows = [rng.choice(own, len(own)) for own in by_class]
        values.append(np.mean([difference[np.ix_(seeds, own)].mean() for own in rows]))
    return np.percentile(values, [2.5, 97.5])


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_it_is_the_bootstrap_of_its_definition(seeds):
    a, b, y = outcomes(seeds)
    found = paired_interval(a, b, y, draws=4000)
    low, high = plain_bootstrap(a, b, y)
    assert found.mean == pytest.approx((a.astype(float) - b).mean())
    assert found.low == pytest.approx(low, abs=0.008)
    assert found.high == pytest.approx(high, abs=0.008)


def test_it_holds_the_truth_about_as_often_as_it_says():
    # One seed: with few, resampling seeds is known to be too narrow; rows are not.
    held = sum(
        found.low <= 0.1 <= found.high
        for seed in range(200)
        for found in [paired_interval(*outcomes(1, 4, 60, seed=seed), draws=400)]
    )
    assert 180 <= held <= 198


def test_exchange_turns_it_round():
    a, b, y = outcomes()
    there, back = paired_interval(a, b, y), paired_interval(b, a, y)
    assert back.mean == pytest.approx(-there.mean)
    assert back.low == pytest.approx(-there.high, abs=0.01)


def test_pairing_takes_common_noise_out():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 100)
    common = rng.random(400) < 0.5
    better = common | (rng.random(400) < 0.04)
    shuffled = np.concatenate([rng.permutation(better[y == label]) for label in range(4)])
    paired = paired_interval(better[None], common[None], y)
    unpaired = paired_interval(shuffled[None], common[None], y)
    assert paired.standing == "ahead"
    assert unpaired.high - unpaired.low > 2 * (paired.high - paired.low)


def test_a_method_against_itself_is_level_at_zero():
    a, _, y = outcomes()
    assert paired_interval(a, a, y) == Interval(0.0, 0.0, 0.0)
    assert paired_interval(a, a, y).standing == "level"


def test_disagreeing_seeds_widen_it():
    y = np.repeat(np.arange(4), 200)
    rng = np.random.default_rng(0)
    b = np.tile(rng.random(800) < 0.5, (3, 1))
    steady = b | (rng.random((3, 800)) < 0.1)
    swinging = np.stack([b[0], b[1] | (rng.random(800) < 0.1), b[2] | (rng.random(800) < 0.3)])
    narrow, wide = paired_interval(steady, b, y), paired_interval(swinging, b, y)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_a_method_without_seeds_is_paired_with_each():
    a, b, y = outcomes()
    one = paired_interval(a, b[:1], y)
    assert one == paired_interval(a, np.tile(b[:1], (3, 1)), y)


def test_unlike_numbers_of_seeds_are_refused():
    a, b, y = outcomes()
    with pytest.raises(ValueError, match="3 and 2 seeds"):
        paired_interval(a, b[:2], y)


def test_balanced_accuracy_counts_classes_alike_and_accuracy_rows():
    y = np.repeat([0, 1], [900, 100])
    b = np.zeros((1, 1000), bool)
    a = b.copy()
    a[0, y == 1] = True
    assert paired_interval(a, b, y).mean == pytest.approx(0.5)
    assert paired_interval(a, b, y, metric="accuracy").mean == pytest.approx(0.1)
    assert paired_interval(a, b, y, classes=np.array([1])).mean == pytest.approx(1.0)
    assert paired_interval(a, b, y, classes=np.array([0])).mean == 0.0


def test_classes_without_a_test_row_give_nan_not_zero():
    a, b, y = outcomes()
    assert np.isnan(paired_interval(a, b, y, classes=np.array([17])).mean)


def test_groups_of_one_row_are_rows():
    a, b, y = outcomes()
    assert paired_interval(a, b, y, groups=np.arange(len(y))) == paired_interval(a, b, y)


def test_rows_that_stand_or_fall_together_widen_it():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 100)
    group = np.arange(400) // 10
    b = np.zeros((1, 400), bool)
    a = (rng.random(40) < 0.5)[group][None]
    by_row, by_group = paired_interval(a, b, y), paired_interval(a, b, y, groups=group)
    assert by_group.mean == by_row.mean
    assert by_group.high - by_group.low > 2.5 * (by_row.high - by_row.low)


def test_a_group_that_spans_classes_is_drawn_for_all_of_them_at_once():
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(4), 100)
    speaker = np.arange(400) // 40
    b = np.zeros((1, 400), bool)
    a = (rng.random(10) < 0.5)[speaker][None]
    jointly = paired_interval(a, b, y, groups=speaker)
    apart = paired_interval(a, b, y, groups=speaker * 4 + y)
    # All four classes move together with their speaker: half the information, twice the width.
    assert jointly.high - jointly.low > 1.6 * (apart.high - apart.low)
    values = a[0].reshape(10, 40).mean(axis=1)
    draws = np.random.default_rng(2).choice(values, (4000, 10)).mean(axis=1)
    assert jointly.low == pytest.approx(np.percentile(draws, 2.5), abs=0.051)
    assert jointly.high == pytest.approx(np.percentile(draws, 97.5), abs=0.051)


def test_equal_seeds_give_equal_intervals():
    a, b, y = outcomes()
    assert paired_interval(a, b, y, seed=4) == paired_interval(a, b, y, seed=4)
    assert paired_interval(a, b, y, seed=4) != paired_interval(a, b, y, seed=5)


def test_ten_thousand_rows_and_a_hundred_classes_take_a_blink():
    a, b, y = outcomes(3, 100, 100)
    began = time.process_time()
    paired_interval(a, b, y)
    assert time.process_time() - began < 3


def _mean(recalls: np.ndarray) -> np.ndarray:
    return recalls.mean(axis=(-2, -1))


def test_a_statistic_that_is_the_mean_recall_has_the_interval_of_balanced_accuracy():
    a, b, y = outcomes(3)
    plain = paired_interval(a, b, y)
    found = paired_statistic(a[None], b[None], y, _mean)
    assert found.mean == pytest.approx(plain.mean)
    assert found.low == pytest.approx(plain.low, abs=0.01)
    assert found.high == pytest.approx(plain.high, abs=0.01)


def test_a_statistic_is_paired_row_by_row_and_task_by_task():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 50)
    a = rng.random((2, 3, 200)) < 0.6
    found = paired_statistic(a, a, y, lambda recalls: recalls.min(axis=(-2, -1)))
    assert found == Interval(0.0, 0.0, 0.0)
    worse = a.copy()
    worse[1, :, y == 3] = False
    found = paired_statistic(a, worse, y, lambda recalls: recalls[..., 1, 3])
    assert found.mean == pytest.approx(a[1][:, y == 3].mean())
    assert found.low > 0.4


def test_methods_of_other_numbers_of_seeds_have_no_paired_statistic():
    a, y = np.ones((1, 3, 4), bool), np.arange(4)
    with pytest.raises(ValueError, match="3 and 2 seeds"):
        paired_statistic(a, a[:, :2], y, _mean)
