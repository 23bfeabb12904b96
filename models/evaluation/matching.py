"""Samples that can be compared: the same number of rows of each class on every side."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation.trainer import first_rows

Labels = npt.NDArray[np.integer[Any]]
Numbers = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]

MOST_ROWS = 5000
"""Rows a side: neighbours cost the square of it."""


@dataclass(frozen=True)
class Matched:
    """Row numbers of samples with one mixture of classes, each in the order of the classes.

    Attributes:
        counts: rows of each class, on every side.
        synthetic: rows of the synthetic latents.
        real: held-out rows.
        reference_train: training rows of the reference sample.
        reference_held_out: held-out rows of the reference sample; none of them is in `real`.
    """

    counts: Counts
    synthetic: Numbers
    real: Numbers
    reference_train: Numbers
    reference_held_out: Numbers


def match(synthetic: Labels, held_out: Labels, train: Labels, n_classes: int, seed: int) -> Matched:
    """Samples of synthetic rows, of held-out rows, and of further real rows as the reference.

    The reference stands for a perfect generator. It has training rows as far as a class has enough,
    then held-out rows that are not compared with; a class gives as many rows as all three sides have.
    """
    made, kept, trained = (
        np.bincount(y, minlength=n_classes) for y in (synthetic, held_out, train)
    )
    counts = level(np.minimum.reduce([made, kept, (trained + kept) // 2]), MOST_ROWS)
    rng = np.random.default_rng([seed, 1])
    from_train = np.minimum(counts, trained)
    held = _drawn(held_out, 2 * counts - from_train, rng)
    real = first_rows(held_out[held], counts)
    rest = np.delete(held, real)
    return Matched(
        counts=counts,
        synthetic=_drawn(synthetic, counts, rng),
        real=held[real],
        reference_train=_drawn(train, from_train, rng),
        reference_held_out=rest,
    )


def match_two(
    synthetic: Labels, held_out: Labels, n_classes: int, seed: int
) -> tuple[Numbers, ...]:
    """Rows of the synthetic and of the held-out latents with one mixture of classes."""
    counts = np.minimum(
        np.bincount(synthetic, minlength=n_classes), np.bincount(held_out, minlength=n_classes)
    )
    counts, rng = level(counts, MOST_ROWS), np.random.default_rng([seed, 2])
    return _drawn(synthetic, counts, rng), _drawn(held_out, counts, rng)


def level(counts: Counts, most: int) -> Counts:
    """The counts cut at one height, the largest at which their sum is `most` or less.

    So large classes give way and small ones stay whole; where there are more classes than `most`,
    each keeps a row.
    """
    low, high = 1, max(1, int(counts.max(initial=1)))
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(counts, middle).sum() <= most:
            low = middle
        else:
            high = middle - 1
    return np.asarray(np.minimum(counts, low), dtype=np.int64)


def _drawn(y: Labels, counts: Counts, rng: np.random.Generator) -> Numbers:
    """`counts` rows of each class without replacement: class by class, in random order within."""
    mixed = rng.permutation(len(y))
    return mixed[first_rows(y[mixed], counts)]
