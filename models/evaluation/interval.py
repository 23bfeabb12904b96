"""The one interval of this project: 95 %, paired, by a hierarchical bootstrap.

A draw takes seeds with replacement and, within each class, test rows with replacement; the same
draw serves both methods. Where rows come in groups (speakers, objects), groups are drawn instead
of rows: within the class if a group has one class only, else jointly for all its classes, so that
what one speaker does to several classes at once is not counted as several independent facts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.evaluation.metrics import Metric

Correct = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Recalls, `… tasks classes`, to a value for each of the leading axes."""

DRAWS = 2000
LEVEL = 0.95
JOINT_DRAWS_AT_ONCE = 8_000_000
"""Group weights held in memory at once (64 MB)."""


@dataclass(frozen=True)
class Interval:
    """A difference of two methods, 0 to 1, and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def standing(self) -> str:
        """`ahead`, `behind`, or `level` where the interval holds zero."""
        if self.low > 0:
            return "ahead"
        return "behind" if self.high < 0 else "level"


def paired_interval(
    a_correct: Correct,
    b_correct: Correct,
    y: Labels,
    *,
    groups: Labels | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    metric: Metric = "balanced_accuracy",
    classes: npt.NDArray[np.integer[Any]] | None = None,
) -> Interval:
    """How much better `a` does than `b`, paired by seed and test row.

    Args:
        a_correct: bool `seeds n`; a method without seeds gives one row, paired with each seed.
        b_correct: likewise.
        y: class of each test row, `n`.
        groups: group of each test row, `n`.
        draws: bootstrap draws.
        seed: of the draws.
        metric: what is compared.
        classes: compare on these classes alone.

    Raises:
        ValueError: unlike numbers of seeds.
    """
    resampled = Resampled.of(a_correct, b_correct, y, groups=groups, draws=draws, seed=seed)
    return resampled.interval(metric, classes)


@dataclass(frozen=True)
class Resampled:
    """Sums of (a right) - (b right) over the rows of each class: as observed, and in each draw.

    Attributes:
        observed: `classes`, mean over seeds.
        observed_rows: `classes`.
        sums: `draws classes`, mean over the draw's seeds.
        rows: `draws classes`.
    """

    observed: Floats
    observed_rows: Floats
    sums: Floats
    rows: Floats

    @classmethod
    def of(
        cls,
        a_correct: Correct,
        b_correct: Correct,
        y: Labels,
        *,
        groups: Labels | None = None,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> Self:
        """Draw once; intervals of every metric and group of classes then cost next to nothing."""
        difference = _difference(a_correct, b_correct)
        rng = np.random.default_rng(seed)
        seeds, n_classes = len(difference), int(y.max()) + 1
        seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
        sums = np.zeros((draws, n_classes))
        rows = np.zeros((draws, n_classes))
        units, spanning = _units(y, groups)
        for add in (_add_within_classes, _add_jointly):
            add(
                difference,
                y,
                units=units,
                spanning=spanning,
                seed_weights=seed_weights,
                rng=rng,
                sums=sums,
                rows=rows,
            )
        observed = np.bincount(y, difference.mean(axis=0), n_classes).astype(np.float64)
        return cls(observed, np.bincount(y).astype(np.float64), sums, rows)

    def interval(
        self, metric: Metric, classes: npt.NDArray[np.integer[Any]] | None = None
    ) -> Interval:
        """The interval of `metric`, over all classes or those given; NaN if none has a row."""
        seen = self.observed_rows > 0
        if classes is not None:
            seen &= np.isin(np.arange(len(seen)), classes)
        if not seen.any():
            return Interval(float("nan"), float("nan"), float("nan"))
        mean = _value(metric, self.observed[None, seen], self.observed_rows[None, seen])
        values = _value(metric, self.sums[:, seen], self.rows[:, seen])
        tail = 50 * (1 - LEVEL)
        low, high = np.nanpercentile(values, [tail, 100 - tail])
        return Interval(float(mean[0]), float(low), float(high))


def _difference(a_correct: Correct, b_correct: Correct) -> npt.NDArray[np.int8]:
    a, b = np.atleast_2d(a_correct).astype(np.int8), np.atleast_2d(b_correct).astype(np.int8)
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(f"{len(a)} and {len(b)} seeds cannot be paired")
    return a - b


def _value(metric: Metric, sums: Floats, rows: Floats) -> Floats:
    if metric == "accuracy":
        return np.asarray(sums.sum(axis=1) / rows.sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = sums / rows
    # A class whose every group stayed out of a draw says nothing in that draw.
    present = rows > 0
    mean = np.where(present, recall, 0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return np.where(present.any(axis=1), mean, np.nan)


def _units(y: Labels, groups: Labels | None) -> tuple[npt.NDArray[np.int64], Correct]:
    """What is drawn: the unit of each row, numbered from 0, and which units span classes."""
    if groups is None:
        return np.arange(len(y)), np.zeros(len(y), dtype=np.bool_)
    _, units = np.unique(groups, return_inverse=True)
    low = np.full(units.max() + 1, np.iinfo(np.int64).max)
    high = np.full(units.max() + 1, -1)
    np.minimum.at(low, units, y)
    np.maximum.at(high, units, y)
    return units.astype(np.int64), low != high


def _add_within_classes(
    difference: npt.NDArray[np.int8],
    y: Labels,
    *,
    units: npt.NDArray[np.int64],
    spanning: Correct,
    seed_weights: Floats,
    rng: np.random.Generator,
    sums: Floats,
    rows: Floats,
) -> None:
    """Add each draw's rows of units with one class.

    Units of a class that did equally under every seed are interchangeable, and few kinds exist: so
    a draw is one multinomial over kinds, the same in distribution as drawing the units themselves.
    """
    single = ~spanning[units]
    for label in np.unique(y[single]):
        chosen = np.flatnonzero(single & (y == label))
        _, unit = np.unique(units[chosen], return_inverse=True)
        per_unit = np.stack(
            [np.bincount(unit), *(np.bincount(unit, d) for d in difference[:, chosen])], axis=1
        )
        kinds, counts = np.unique(per_unit, axis=0, return_counts=True)
        order = np.argsort(-counts)
        kinds, counts = kinds[order], counts[order]
        drawn = rng.multinomial(counts.sum(), counts / counts.sum(), len(seed_weights))
        rows[:, label] += drawn @ kinds[:, 0]
        sums[:, label] += ((drawn @ kinds[:, 1:]) * seed_weights).sum(axis=1)


def _add_jointly(
    difference: npt.NDArray[np.int8],
    y: Labels,
    *,
    units: npt.NDArray[np.int64],
    spanning: Correct,
    seed_weights: Floats,
    rng: np.random.Generator,
    sums: Floats,
    rows: Floats,
) -> None:
    """Add each draw's rows of units with several classes."""
    chosen = np.flatnonzero(spanning[units])
    if not len(chosen):
        return
    _, unit = np.unique(units[chosen], return_inverse=True)
    n, n_classes = int(unit.max()) + 1, sums.shape[1]
    cell = unit * n_classes + y[chosen]
    per_cell = [
        np.bincount(cell, values, n * n_classes).reshape(n, n_classes)
        for values in (np.ones(len(chosen)), *difference[:, chosen])
    ]
    at_once = max(1, JOINT_DRAWS_AT_ONCE // n)
    for start in range(0, len(sums), at_once):
        part = slice(start, start + at_once)
        weights = rng.multinomial(n, np.full(n, 1 / n), len(sums[part])).astype(np.float64)
        rows[part] += weights @ per_cell[0]
        for seed_weight, cells in zip(seed_weights[part].T, per_cell[1:], strict=True):
            sums[part] += seed_weight[:, None] * (weights @ cells)


def paired_statistic(
    a_correct: Correct,
    b_correct: Correct,
    y: Labels,
    statistic: Statistic,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """How much more `statistic` says of `a`: for what is no mean over rows, as a harmonic mean is.

    A draw's seeds and rows are the same in all tasks; `statistic` sees recalls that are averaged
    over the draw's seeds.

    Args:
        a_correct: bool `tasks seeds n`: the same test rows in every task.
        b_correct: likewise; of one seed or as many.
        y: class of each test row, `n`; every class has rows.
        statistic: of recalls by task and class.
        draws: bootstrap draws.
        seed: of the draws.

    Raises:
        ValueError: unlike numbers of seeds.
    """
    seeds = {a_correct.shape[1], b_correct.shape[1]}
    if len(seeds - {1}) > 1:
        raise ValueError(f"{a_correct.shape[1]} and {b_correct.shape[1]} seeds cannot be paired")
    shape = (len(a_correct), max(seeds), len(y))
    both = np.stack([np.broadcast_to(one, shape) for one in (a_correct, b_correct)])
    right = [both[..., y == label].astype(np.float64) for label in range(int(y.max()) + 1)]
    observed = np.stack([rows.mean(axis=(2, 3)) for rows in right], axis=-1)
    drawn = _drawn_recalls(right, np.random.default_rng(seed), draws)
    mean = statistic(observed[0]) - statistic(observed[1])
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(statistic(drawn[0]) - statistic(drawn[1]), [tail, 100 - tail])
    return Interval(float(mean), float(low), float(high))


def _drawn_recalls(right: list[Floats], rng: np.random.Generator, draws: int) -> Floats:
    """Return recalls `2 draws tasks classes` of each class's rows, `2 tasks seeds rows`."""
    seeds = right[0].shape[2]
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    recalls = []
    for one in right:
        rows = one.shape[-1]
        weights = rng.multinomial(rows, np.full(rows, 1 / rows), draws) / rows
        by_seed = np.tensordot(weights, one, (1, 3))  # draws 2 tasks seeds
        recalls.append(np.einsum("dmts,ds->mdt", by_seed, seed_weights))
    return np.stack(recalls, axis=-1)
