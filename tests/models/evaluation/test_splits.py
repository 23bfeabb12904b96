"""Splits: stratified, whole by group, seeded, and never against what the dataset brings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.splits import TEST, TRAIN, UNASSIGNED, VAL, make_splits


def split(y, given_split=None, group=None, seed=0, val=0.15, test=0.2):
    y = np.asarray(y)
    start = np.full(len(y), UNASSIGNED, np.int8) if given_split is None else given_split
    return make_splits(y, start, group, val_share=val, test_share=test, seed=seed)


def test_each_class_gives_its_share():
    y = np.repeat([0, 1, 2], [100, 40, 20])
    out, small = split(y)
    assert small == []
    for label, n in enumerate((100, 40, 20)):
        counts = np.bincount(out[y == label], minlength=3)
        assert counts.tolist() == [n - round(0.15 * n) - round(0.2 * n), 0.15 * n, 0.2 * n]


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=80),
    st.floats(0.01, 0.49),
    st.floats(0.01, 0.49),
    st.integers(0, 5),
)
def test_every_class_with_rows_keeps_half_of_them_for_training(y, val, test, seed):
    y = np.array(y)
    out, small = split(y, val=val, test=test, seed=seed)
    assert set(out) <= {TRAIN, VAL, TEST}
    for label in np.unique(y):
        parts = [(out[y == label] == code).sum() for code in (TRAIN, VAL, TEST)]
        assert parts[0] >= (y == label).sum() / 2
        assert (min(parts) == 0) == (label in small)


def test_classes_below_four_rows_train_and_are_listed():
    y = np.repeat([0, 1, 2, 3], [50, 4, 3, 1])
    out, small = split(y)
    assert small == [2, 3]
    assert (out[y >= 2] == TRAIN).all()
    assert np.bincount(out[y == 1], minlength=3).tolist() == [2, 1, 1]


def test_splits_that_the_dataset_brings_stay():
    y = np.tile([0, 1], 50)
    brought = np.full(100, UNASSIGNED, np.int8)
    brought[:30], brought[30:40] = TEST, TRAIN
    out, small = split(y, brought)
    assert small == []
    np.testing.assert_array_equal(np.flatnonzero(out == TEST), np.arange(30))
    assert (out == VAL).sum() == 2 * round(0.15 * 35)


def test_with_val_and_test_brought_the_rest_trains():
    y = np.tile([0, 1], 10)
    brought = np.array([TEST, VAL] * 2 + [UNASSIGNED] * 16, np.int8)
    out, small = split(y, brought)
    np.testing.assert_array_equal(out, np.where(brought == UNASSIGNED, TRAIN, brought))
    # Class 0 has no val row, class 1 no test row.
    assert small == [0, 1]


def test_equal_seeds_give_equal_splits_and_others_do_not():
    y = np.repeat([0, 1], 100)
    np.testing.assert_array_equal(split(y, seed=3)[0], split(y, seed=3)[0])
    assert (split(y, seed=3)[0] != split(y, seed=4)[0]).any()


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_torn_and_shares_are_nearly_met(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, 2000)
    group = rng.integers(0, 150, 2000)
    out, small = split(y, group=group, seed=seed)
    assert small == []
    assert all(len(np.unique(out[group == g])) == 1 for g in np.unique(group))
    assert abs((out == TEST).mean() - 0.2) < 0.04
    assert abs((out == VAL).mean() - 0.15) < 0.04


def test_the_last_group_of_a_class_stays_in_training():
    y = np.repeat([0, 1], [60, 20])
    group = np.concatenate([np.arange(60) // 3, np.full(20, 99)])
    out, small = split(y, group=group)
    assert (out[y == 1] == TRAIN).all()
    assert small == [1]
    assert (out[y == 0] == TEST).any()


def test_a_small_class_gets_a_test_group_even_if_chance_passed_it_by():
    for seed in range(8):
        y = np.repeat([0, 1], [400, 6])
        group = np.concatenate([np.arange(400) // 4, 200 + np.arange(6) // 2])
        _, small = split(y, group=group, seed=seed)
        assert small == [], seed
