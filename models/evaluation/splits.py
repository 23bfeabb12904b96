"""Rows for training, choosing and reporting, parted before any generator sees a row."""

from typing import Any

import numpy as np
import numpy.typing as npt

TRAIN, VAL, TEST, UNASSIGNED = 0, 1, 2, -1

Labels = npt.NDArray[np.integer[Any]]


def make_splits(
    y: Labels,
    split: npt.NDArray[np.int8],
    group: Labels | None,
    *,
    val_share: float,
    test_share: float,
    seed: int,
) -> tuple[npt.NDArray[np.int8], list[int]]:
    """The dataset's splits, completed: where `test` or `val` has no row, one is cut from the rest.

    A cut is stratified: each class gives its share, rounded, and at least one row, but keeps half
    of its rows or more for training. With groups, all rows of a group go the same way, and shares
    are met as nearly as whole groups allow. Splits that the dataset brings are never changed.

    Args:
        y: class of each row, `n`.
        split: -1 unassigned, 0 train, 1 val, 2 test, `n`.
        group: rows that must stay together (a speaker, an object), `n`.
        val_share: share of the rows outside the dataset's own splits that `val` gets.
        test_share: likewise for `test`.
        seed: equal seeds give equal splits.

    Returns:
        The splits without -1, and the classes that lack a row in `train`, `val` or `test`
        although they have rows: too small to be chosen for, reported on, or both.
    """
    rng = np.random.default_rng(seed)
    out = np.where(split == UNASSIGNED, TRAIN, split).astype(np.int8)
    pool = np.flatnonzero(out == TRAIN)
    missing = [
        (code, share)
        for code, share in ((TEST, test_share), (VAL, val_share))
        if not (out == code).any()
    ]
    wanted = _wanted_rows(np.bincount(y[pool], minlength=_n_classes(y)), [s for _, s in missing])
    for (code, _), want in zip(missing, wanted, strict=True):
        rows = np.flatnonzero(out == TRAIN)
        if group is None:
            out[_cut_rows(y, rows, want, rng)] = code
        else:
            out[_cut_groups(y, group, rows, want, rng)] = code
    return out, _too_small(y, out)


def _n_classes(y: Labels) -> int:
    return int(y.max()) + 1 if len(y) else 0


def _wanted_rows(counts: npt.NDArray[np.int64], shares: list[float]) -> list[npt.NDArray[np.int64]]:
    """Rows a class for each split to cut. A class below one row a split keeps all for training."""
    enough = counts >= 2 * len(shares)
    wanted = [
        np.where(enough, np.maximum(np.rint(share * counts), 1), 0).astype(np.int64)
        for share in shares
    ]
    over = sum(wanted, np.zeros_like(counts)) > counts // 2
    return [np.where(over & enough, np.minimum(want, 1), want) for want in wanted]


def _cut_rows(
    y: Labels, rows: npt.NDArray[np.int64], want: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    mixed = rng.permutation(rows)
    by_class = mixed[np.argsort(y[mixed], kind="stable")]
    counts = np.bincount(y[rows], minlength=len(want))
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return by_class[rank < np.repeat(want, counts)]


def _cut_groups(
    y: Labels,
    group: Labels,
    rows: npt.NDArray[np.int64],
    want: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Take whole groups, in random order, while they bring the classes nearer to their shares."""
    _, which = np.unique(group[rows], return_inverse=True)
    table = np.zeros((int(which.max(initial=-1)) + 1, len(want)), dtype=np.int64)
    np.add.at(table, (which, y[rows]), 1)
    groups_left = (table > 0).sum(axis=0)
    short = want.astype(np.float64)
    taken: list[int] = []

    def take(number: int) -> None:
        nonlocal short
        taken.append(number)
        short = short - table[number]
        groups_left[table[number] > 0] -= 1

    def spare(number: int) -> bool:
        """Whether training keeps another group of each of its classes."""
        return bool((groups_left[table[number] > 0] > 1).all())

    weight = 1.0 / np.maximum(want, 1)
    for number in rng.permutation(len(table)):
        after = short - table[number]
        if spare(int(number)) and (weight * (short**2 - after**2)).sum() > 0:
            take(int(number))
    # Random order may leave a small class without a row: its smallest group comes in after all.
    for label in np.flatnonzero((want > 0) & (short == want)):
        holders = np.flatnonzero(table[:, label])
        able = [int(n) for n in holders if n not in taken and spare(int(n))]
        if able and short[label] == want[label]:
            take(min(able, key=lambda n: int(table[n].sum())))
    return rows[np.isin(which, taken)]


def _too_small(y: Labels, split: npt.NDArray[np.int8]) -> list[int]:
    n = _n_classes(y)
    counts = np.stack([np.bincount(y[split == code], minlength=n) for code in (TRAIN, VAL, TEST)])
    return np.flatnonzero((counts.sum(axis=0) > 0) & (counts == 0).any(axis=0)).tolist()
