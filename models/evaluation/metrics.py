"""What is counted on held-out rows: accuracy, balanced accuracy, many / medium / few shot."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer[Any]]
Correct = npt.NDArray[np.bool_]
Metric = Literal["balanced_accuracy", "accuracy"]

MANY_ABOVE = 100
FEW_BELOW = 20
"""Training rows that part the groups (Liu et al. 2019, Large-Scale Long-Tailed Recognition, §5)."""


def recalls(correct: Correct, y: Labels, n_classes: int) -> npt.NDArray[np.float64]:
    """Share of each class's rows that are right; NaN for a class without a row.

    Args:
        correct: bool `… n`; leading axes (seeds) are kept.
        y: class of each row, `n`.
        n_classes: classes in all.
    """
    sums = np.stack(
        [np.bincount(y, row, n_classes) for row in correct.reshape(-1, len(y)).astype(np.float64)]
    )
    counts = np.bincount(y, minlength=n_classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums / counts).reshape(*correct.shape[:-1], n_classes)


def accuracy(correct: Correct) -> float:
    """Share of rows that are right, over all seeds; 0 to 1."""
    return float(correct.mean())


def balanced_accuracy(
    correct: Correct, y: Labels, n_classes: int, classes: npt.NDArray[np.integer[Any]] | None = None
) -> float:
    """Mean recall over the classes that have rows (or those of `classes`), over all seeds; 0 to 1.

    NaN where none of them has a row.
    """
    by_class = recalls(correct, y, n_classes)
    if classes is not None:
        by_class = by_class[..., classes]
    present = ~np.isnan(by_class)
    return float(by_class[present].mean()) if present.any() else float("nan")


def measure(correct: Correct, y: Labels, n_classes: int, metric: Metric) -> float:
    """`metric` over all seeds; 0 to 1."""
    if metric == "accuracy":
        return accuracy(correct)
    return balanced_accuracy(correct, y, n_classes)


def log_score(
    logits: npt.NDArray[np.floating[Any]], y: Labels, n_classes: int, metric: Metric
) -> float:
    """Mean log-probability of the right class, over rows or, if balanced, over classes; at most 0.

    The logarithmic score is proper: what is best by it says the probabilities best. It uses how sure
    a head is of every row, where a share of right rows only counts those near a boundary: on
    classes of a few rows it tells settings apart that accuracy cannot.

    Args:
        logits: of each row, `n classes`.
        y: class of each row, `n`; at least one.
        n_classes: classes in all.
        metric: `accuracy` weighs rows alike, `balanced_accuracy` classes.
    """
    below = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    values = below[np.arange(len(y)), y] - np.log(np.exp(below).sum(axis=1))
    if metric == "accuracy":
        return float(values.mean())
    sums, counts = np.bincount(y, values, n_classes), np.bincount(y, minlength=n_classes)
    return float((sums[counts > 0] / counts[counts > 0]).mean())


def shot_groups(train_counts: npt.NDArray[np.integer[Any]]) -> dict[str, npt.NDArray[np.int64]]:
    """Class numbers of the groups many (> 100 training rows), medium (20-100) and few (< 20)."""
    return {
        "many": np.flatnonzero(train_counts > MANY_ABOVE),
        "medium": np.flatnonzero((train_counts >= FEW_BELOW) & (train_counts <= MANY_ABOVE)),
        "few": np.flatnonzero(train_counts < FEW_BELOW),
    }
