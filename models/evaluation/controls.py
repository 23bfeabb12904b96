"""The rivals that every report carries: what costs nothing to try, and must be beaten or named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from imblearn.over_sampling import SMOTE

Latents = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]
Counts = npt.NDArray[np.int64]
Added = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
Augment = Callable[[Latents, Labels, Counts, int], Added]
"""(latents, labels, rows to add for each class, seed) to added latents and their labels."""

SMOTE_NEIGHBOURS = 5
"""Chawla et al. 2002; fewer where a class has fewer other rows."""


def oversampling(x: Latents, y: Labels, counts: Counts, seed: int) -> Added:
    """Random oversampling: real rows again, drawn with replacement.

    A class without a row cannot be repeated: it gets none, here and in the other controls.
    """
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(np.flatnonzero(y == label), counts[label]) for label in _with_rows(y, counts)
    ]
    rows = np.concatenate(drawn) if drawn else np.empty(0, dtype=np.int64)
    return np.asarray(x[rows], dtype=np.float32), y[rows].astype(np.int64)


def smote(x: Latents, y: Labels, counts: Counts, seed: int) -> Added:
    """SMOTE by imbalanced-learn: points between a row and one of its neighbours in the class.

    Classes of five rows or fewer use all their other rows as neighbours; a class of one has none
    and is repeated instead (`classes_of_one` lists them).
    """
    have = np.bincount(y, minlength=len(counts))
    wanted = _with_rows(y, counts)
    single = np.where(have == 1, counts, 0)
    parts = [oversampling(x, y, single, seed)]
    dense = np.asarray(x, dtype=np.float32)
    neighbours = np.minimum(SMOTE_NEIGHBOURS, have - 1)
    for k in np.unique(neighbours[wanted]):
        if k < 1:
            continue
        labels = wanted[neighbours[wanted] == k]
        target = {int(c): int(have[c] + counts[c]) for c in labels}
        sampler = SMOTE(sampling_strategy=target, k_neighbors=int(k), random_state=seed)
        more_x, more_y = sampler.fit_resample(dense, y)
        parts.append((more_x[len(y) :], more_y[len(y) :].astype(np.int64)))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def classes_of_one(y: Labels, n_classes: int) -> list[int]:
    """Classes with a single row, which SMOTE can only repeat."""
    return np.flatnonzero(np.bincount(y, minlength=n_classes) == 1).tolist()


def gaussian(variance: float) -> Augment:
    """Draws around each class mean with the covariance that all classes share, times `variance`."""

    def augment(x: Latents, y: Labels, counts: Counts, seed: int) -> Added:
        rng = np.random.default_rng(seed)
        means, root = _shared_gaussian(x, y, len(counts))
        wanted = _with_rows(y, counts)
        labels = np.repeat(wanted, counts[wanted])
        noise = rng.standard_normal((len(labels), x.shape[1]), dtype=np.float32)
        spread = noise @ (np.sqrt(variance) * root).astype(np.float32)
        return means[labels].astype(np.float32) + spread, labels

    return augment


AUGMENTING: dict[str, Augment] = {
    "oversampling": oversampling,
    "smote": smote,
    "gaussian_1": gaussian(1.0),
    "gaussian_2": gaussian(2.0),
}


def label_shift(logits: Latents, train_counts: Counts) -> Latents:
    """Logits minus the log of the training prior: as if all classes were equally frequent.

    Post hoc, nothing is trained (Saerens et al. 2002, equation 4, with a uniform new prior).
    """
    counts = np.maximum(train_counts, 1)
    shifted: Latents = logits - np.log(counts / counts.sum())
    return shifted


def nearest_class_mean(
    x: Latents, y: Labels, x_test: Latents, n_classes: int
) -> npt.NDArray[np.int64]:
    """The class whose mean has the highest cosine with the row, both standardised by `x`."""
    centre = x.mean(axis=0, dtype=np.float64)
    scale = x.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    means = _class_means(x, y, n_classes)
    directions = (means - centre) / scale
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    # A row's own length does not change which cosine is the largest.
    scores = ((x_test - centre) / scale) @ directions.T
    scores[:, np.bincount(y, minlength=n_classes) == 0] = -np.inf
    return np.asarray(scores.argmax(axis=1), dtype=np.int64)


def _with_rows(y: Labels, counts: Counts) -> npt.NDArray[np.int64]:
    return np.flatnonzero((counts > 0) & (np.bincount(y, minlength=len(counts)) > 0))


def _class_means(x: Latents, y: Labels, n_classes: int) -> npt.NDArray[np.float64]:
    means = np.zeros((n_classes, x.shape[1]))
    for label in np.unique(y):
        means[label] = x[y == label].mean(axis=0, dtype=np.float64)
    return means


def _shared_gaussian(
    x: Latents, y: Labels, n_classes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Class means, and the root R of the pooled within-class covariance: noise @ R has it."""
    means = _class_means(x, y, n_classes)
    return means, shared_root(x - means[y], max(1, len(y) - len(np.unique(y))))


def shared_root(residuals: Latents, freedom: int) -> npt.NDArray[np.float64]:
    """Return R, dim × dim, such that noise @ R has the covariance of the residuals."""
    covariance = residuals.T @ residuals / freedom
    # Fewer rows than dimensions, or a constant column, leave it singular: lift it a little.
    lift = 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    lower = np.linalg.cholesky(covariance + lift * np.eye(len(covariance)))
    return np.asarray(lower.T, dtype=np.float64)
