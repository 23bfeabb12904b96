"""How alike two samples of latents are: Fréchet distance, neighbourhoods, a classifier's eye.

Every function takes float64 rows of one space; which rows, and which space, is `fidelity`'s business.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_chunked
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Rows = npt.NDArray[np.float64]

NEIGHBOURS = 5
"""k of the neighbourhoods, as Naeem et al. 2020 have it."""

FOLDS = 5
SHARED = 1.8
"""How many times the binomial variance the score has between samples of one distribution: folds share
rows, and err together. Measured, 120 to 500 rows of 6 to 64 dimensions: 1.3 to 1.8."""

Z_95 = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


def frechet_distance(a: Rows, b: Rows) -> float:
    """Squared Fréchet distance of two Gaussians with the samples' moments.

    Heusel et al. 2017, equation 6. Depends on the number of rows: compare at equal numbers only.

    Args:
        a: `n dim`, of more rows than dimensions.
        b: likewise.
    """
    root = _root(np.atleast_2d(np.cov(a, rowvar=False)))
    other = np.atleast_2d(np.cov(b, rowvar=False))
    # The product's own root need not be symmetric; that of this similar matrix is, with equal trace.
    cross = np.linalg.eigvalsh(root @ other @ root)
    spread = float((root**2).sum()) + float(np.trace(other))
    shift = float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum())
    return max(0.0, shift + spread - 2 * float(np.sqrt(np.maximum(cross, 0)).sum()))


def _root(covariance: Rows) -> Rows:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


@dataclass(frozen=True)
class Neighbourhoods:
    """What balls around rows say, each ball reaching to its row's k-th neighbour in its own sample.

    Attributes:
        precision: share of made rows within a real row's ball (Kynkäänniemi et al. 2019).
        recall: share of real rows within a made row's ball (the same).
        density: real balls a made row lies in, over k (Naeem et al. 2020); may exceed 1.
        coverage: share of real balls that hold a made row (the same).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbourhoods(real: Rows, made: Rows, k: int = NEIGHBOURS) -> Neighbourhoods:
    """Compare samples `n dim`, `m dim`, each of more than k rows."""
    real_reach, made_reach = _reach(real, k), _reach(made, k)
    held = np.empty(len(made), dtype=np.int64)
    recalled = np.zeros(len(real), dtype=np.bool_)
    covered = np.zeros(len(real), dtype=np.bool_)
    start = 0
    for distances in pairwise_distances_chunked(made, real, working_memory=64):
        rows = slice(start, start + len(distances))
        in_real = distances <= real_reach
        held[rows] = in_real.sum(axis=1)
        covered |= in_real.any(axis=0)
        recalled |= (distances <= made_reach[rows, None]).any(axis=0)
        start = rows.stop
    return Neighbourhoods(
        precision=float((held > 0).mean()),
        recall=float(recalled.mean()),
        density=float(held.mean() / k),
        coverage=float(covered.mean()),
    )


def _reach(rows: Rows, k: int) -> Rows:
    """Distance of each row to its k-th neighbour; the row itself is not one."""
    return np.asarray(NearestNeighbors(n_neighbors=k).fit(rows).kneighbors()[0][:, -1])


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers, 0 to 1, and its 95 % interval (Wilson 1927, for `n` answers)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, share: float, n: float) -> "Accuracy":
        shrink = 1 + Z_95**2 / n
        middle = (share + Z_95**2 / (2 * n)) / shrink
        half = Z_95 / shrink * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
        return cls(share, middle - half, middle + half)


def two_sample_test(a: Rows, b: Rows) -> Accuracy:
    """How often a classifier tells samples of equal size apart on rows that it was not fitted to.

    C2ST of Lopez-Paz & Oquab 2017; 0.5 where it cannot. The classifier is logistic, on the values
    and their squares: so it sees shifts and wrong variances, which is what temperature changes.

    Args:
        a: `n dim`, at least `FOLDS` rows.
        b: likewise, as many; row i is of the same class as row i of `a`.
    """
    x, y = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    # Pairs of a class stay together: else what a side has too much of in the other folds it lacks
    # in this one, and two samples of one distribution would score below a half.
    folds = PredefinedSplit(np.tile(np.arange(len(a)) % FOLDS, 2))
    said = cross_val_predict(model, np.concatenate([x, x**2], axis=1), y, cv=folds)
    return Accuracy.of(float((said == y).mean()), len(y) / SHARED)
