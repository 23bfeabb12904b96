"""Whole classes left out: which rows train, which are looked at, and what a bias on them buys.

Recall on a class that was never seen can be bought with a lower threshold. So every method gets one
bias on the logits of the classes left out, chosen for it on other classes and on training rows alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.longtail_data import LongTail
from models.evaluation.interval import Interval, paired_statistic
from models.evaluation.metrics import recalls

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PARTS = 10
"""Sets of classes, each left out once: the first six report, the others choose."""

REPORTING = 6
GRID = np.arange(-2.0, 6.01, 0.25)
"""Biases that are tried."""


@dataclass(frozen=True)
class Task:
    """Some classes left out.

    Attributes:
        out: the classes.
        train: numbers of the dataset's rows that train; none is of a class that is left out.
        held: rows that are looked at, of all classes.
    """

    out: Labels
    train: Labels
    held: Labels


def tasks(data: LongTail) -> tuple[list[Task], list[Task]]:
    """Return the tasks that choose, on training rows set aside, and those that report on test rows."""
    y = data.arrays["y"]
    order = np.random.default_rng(0).permutation(len(data.counts))
    rows = np.arange(len(y))
    choosing, reporting = [], []
    for part in range(PARTS):
        out = np.sort(order[part::PARTS])
        left_out = np.isin(y, out)
        if part < REPORTING:
            reporting.append(Task(out, rows[~left_out], data.test_rows))
            continue
        aside = left_out.copy()
        aside[data.folds(seed=part)[0]] = True
        choosing.append(Task(out, rows[~aside], rows[aside]))
    return choosing, reporting


def biased(logits: npt.NDArray[np.float32], out: Labels, bias: float) -> Labels:
    """Return the likeliest class of each row with ``bias`` added to the logits of ``out``."""
    moved = logits.copy()
    moved[:, out] += np.float32(bias)
    return np.asarray(moved.argmax(axis=1), dtype=np.int64)


@dataclass(frozen=True)
class Biases:
    """What was chosen for a method.

    Attributes:
        harmonic: the bias with the best H.
        accuracy: the one with the best mean recall over all classes.
        h: the H at the first, 0 to 1, on the rows that chose.
    """

    harmonic: float
    accuracy: float
    h: float


def choose_biases(found: Sequence[tuple[npt.NDArray[np.float32], Labels, Task]]) -> Biases:
    """Return the biases that are best in the mean over tasks.

    Args:
        found: of each task the logits of its held rows, their classes, and the task.
    """
    by_h, by_accuracy = np.zeros(len(GRID)), np.zeros(len(GRID))
    for logits, y, task in found:
        k = logits.shape[1]
        for i, bias in enumerate(GRID):
            by_class = recalls(biased(logits, task.out, bias) == y, y, k)
            by_h[i] += float(harmonic(by_class[None], task.out)[0]) / len(found)
            by_accuracy[i] += float(np.nanmean(by_class)) / len(found)
    best = int(by_h.argmax())
    return Biases(float(GRID[best]), float(GRID[by_accuracy.argmax()]), float(by_h[best]))


def harmonic(by_class: Floats, out: Labels) -> Floats:
    """Return 2 s u / (s + u) of the mean recalls s and u of classes seen and left out.

    Args:
        by_class: recalls, `… classes`; NaN for a class without rows.
        out: classes left out.
    """
    left_out = np.isin(np.arange(by_class.shape[-1]), out)
    s, u = np.nanmean(by_class[..., ~left_out], -1), np.nanmean(by_class[..., left_out], -1)
    return np.asarray(2 * s * u / np.maximum(s + u, 1e-12))


@dataclass(frozen=True)
class Said:
    """What a method said of the same rows in every task.

    Attributes:
        raw: without a bias, int64 `tasks seeds n`.
        harmonic: with the bias chosen for H.
        accuracy: with the bias chosen for accuracy.
    """

    raw: Labels
    harmonic: Labels
    accuracy: Labels


class Report:
    """Methods side by side, on the mean over tasks.

    Args:
        y: class of each row, n.
        outs: classes left out, a task each.
    """

    def __init__(self, y: Labels, outs: Sequence[Labels]) -> None:
        self._y, self._outs = y, outs

    def values(self, said: Said) -> dict[str, float]:
        """Return percent: H and its two sides after calibration, accuracy before and after."""
        k = int(self._y.max()) + 1
        by_class = recalls(said.harmonic == self._y, self._y, k).mean(axis=1)
        sides = [
            (np.delete(row, out).mean(), row[out].mean())
            for row, out in zip(by_class, self._outs, strict=True)
        ]
        seen, unseen = np.mean(sides, axis=0)
        found = {
            "H": float(self._harmonic(by_class[None])[0]),
            "seen": float(seen),
            "unseen": float(unseen),
            "accuracy": float((said.accuracy == self._y).mean()),
            "uncalibrated": float((said.raw == self._y).mean()),
        }
        return {name: round(100 * value, 2) for name, value in found.items()}

    def lead(self, a: Said, b: Said) -> Interval:
        """Return the difference in H, as a share, with its interval."""
        right = [np.asarray(one.harmonic == self._y) for one in (a, b)]
        return paired_statistic(right[0], right[1], self._y, self._harmonic)

    def accuracy_lead(self, a: Said, b: Said) -> Interval:
        """Return the difference in accuracy over all classes, each at its bias for it."""
        right = [np.asarray(one.accuracy == self._y) for one in (a, b)]
        return paired_statistic(
            right[0], right[1], self._y, lambda found: np.asarray(found.mean(axis=(-2, -1)))
        )

    def _harmonic(self, by_class: Floats) -> Floats:
        """Return the mean H over tasks of recalls `… tasks classes`."""
        found = [harmonic(by_class[..., task, :], out) for task, out in enumerate(self._outs)]
        return np.asarray(np.mean(found, axis=0))
