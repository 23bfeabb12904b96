"""Which rows heads see where a dataset has more than heads can use: small cells whole, a share of others."""

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

TRAINED_ON = 200_000
"""Training rows of a head, at most: with more, memory would grow and accuracy hardly would."""

MEASURED_ON = 50_000
"""Rows of `val` and of `test`, at most: their standard error is below a quarter of a point there."""

_HALVINGS = 60


def sampled(cells: npt.NDArray[np.integer], most: int) -> Numbers:
    """Return the numbers of at most ``most`` rows, in order; all where there are no more.

    A cell keeps all of its rows where they are few, ``most / 2`` over the number of cells, and of
    more rows the same share as the others but no fewer than that: frequencies stay as they are, and
    no rare class or cell is lost. Equal arguments give equal rows.

    Args:
        cells: class, or cell of class and subdomain, of each row, n.
        most: a row of each cell is kept even where there are more cells than this.
    """
    if len(cells) <= most:
        return np.arange(len(cells))
    _, which, counts = np.unique(cells, return_inverse=True, return_counts=True)
    wanted = _wanted(counts, most)
    mixed = np.random.default_rng(0).permutation(len(cells))
    by_cell = mixed[np.argsort(which[mixed], kind="stable")]
    rank = np.arange(len(cells)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(by_cell[rank < np.repeat(wanted, counts)])


def _wanted(counts: Numbers, most: int) -> Numbers:
    """Return how many rows of each cell to keep; the share is found by bisection."""
    few = np.minimum(counts, max(1, most // (2 * len(counts))))
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        low, high = (low, share) if _kept(counts, few, share).sum() > most else (share, high)
    return _kept(counts, few, low)


def _kept(counts: Numbers, few: Numbers, share: float) -> Numbers:
    return np.maximum(few, (share * counts).astype(np.int64))
