"""Rivals that borrow from other classes and subdomains as GeLDA does, in closed form."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from models.evaluation.controls import Added, shared_root
from models.evaluation.data import Counts, EvaluationData
from models.gelda.estimates import similar

Transfer = Callable[[EvaluationData, Counts, int], Added]
"""(data, rows to add for each cell, seed) to added latents and their classes."""

Floats = npt.NDArray[np.float64]


PRIOR_ROWS = 3.0
"""What the estimate from related classes is worth in `gaussian_shrunk`, in rows."""


def gaussian_shrunk(data: EvaluationData, counts: Counts, seed: int) -> Added:
    """Draws around class means that are shrunk to those of classes with like vectors.

    The mean of n rows has the weight n/(n + 3); the covariance is that which classes share.
    """
    assert data.similarity is not None
    rng = np.random.default_rng(seed)
    x, y = np.asarray(data.train.x, dtype=np.float64), data.train.y
    rows = np.bincount(y, minlength=len(data.classes))
    means = np.zeros((len(rows), x.shape[1]))
    np.add.at(means, y, x)
    means /= np.maximum(rows, 1)[:, None]
    root = shared_root(x - means[y], max(1, len(x) - int((rows > 0).sum())))
    tensors = (torch.from_numpy(part) for part in (means, rows.astype(np.float64), data.similarity))
    weight = (rows / (rows + PRIOR_ROWS))[:, None]
    centres = weight * means + (1 - weight) * similar(*tensors).numpy()
    by_class = counts.reshape(-1, data.parts_a_class).sum(axis=1)
    drawn = np.repeat(np.arange(len(rows)), by_class)
    noise = rng.standard_normal((len(drawn), x.shape[1])) @ root
    return (centres[drawn] + noise).astype(np.float32), drawn


def cell_gaussian(data: EvaluationData, counts: Counts, seed: int) -> Added:
    """Draws around each cell's mean with the covariance that all cells share.

    A cell without a row has the mean that its class and its subdomain suggest (`predicted_means`);
    one whose class or subdomain has no row at all gets nothing.
    """
    rng = np.random.default_rng(seed)
    x, cells = np.asarray(data.train.x, dtype=np.float64), data.cells(data.train)
    means, seen = _cell_means(data)
    root = shared_root(x - means[cells], max(1, len(x) - int(seen.sum())))
    predicted = np.where(seen[:, None], means, predicted_means(data))
    wanted = np.flatnonzero((counts > 0) & np.isfinite(predicted).all(axis=1))
    drawn = np.repeat(wanted, counts[wanted])
    noise = rng.standard_normal((len(drawn), x.shape[1])) @ root
    return (predicted[drawn] + noise).astype(np.float32), drawn // data.parts_a_class


def cell_transport(data: EvaluationData, counts: Counts, seed: int) -> Added:
    """Real rows of the class from other subdomains, moved by the difference of subdomains.

    A cell whose class has rows nowhere else is repeated.
    """
    rng = np.random.default_rng(seed)
    x, y, s = data.train.x, data.train.y, data.train.subdomain
    assert s is not None
    offsets = _additive(data)[1]
    parts_x, parts_y = [np.empty((0, x.shape[1]), np.float32)], [np.empty(0, np.int64)]
    for cell in np.flatnonzero((counts > 0) & np.isfinite(predicted_means(data)).all(axis=1)):
        label, target = divmod(int(cell), data.parts_a_class)
        rows = np.flatnonzero((y == label) & (s != target))
        rows = rows if len(rows) else np.flatnonzero(y == label)
        chosen = rng.choice(rows, counts[cell])
        moved = x[chosen] + offsets[target] - offsets[s[chosen]]
        parts_x.append(np.asarray(moved, dtype=np.float32))
        parts_y.append(np.full(counts[cell], label))
    return np.concatenate(parts_x), np.concatenate(parts_y)


TRANSFERRING: dict[str, Transfer] = {
    "gaussian_shrunk": gaussian_shrunk,
    "cell_gaussian": cell_gaussian,
    "cell_transport": cell_transport,
}


def predicted_means(data: EvaluationData) -> Floats:
    """Return a_c + b_s for each cell, K·S × dim: what class and subdomain say without the cell.

    NaN where the class or the subdomain has no training row.
    """
    by_class, by_subdomain = _additive(data)
    n_classes, parts = len(data.classes), data.parts_a_class
    return np.asarray(np.repeat(by_class, parts, 0) + np.tile(by_subdomain, (n_classes, 1)))


def _additive(data: EvaluationData) -> tuple[Floats, Floats]:
    """Return a_c (K × dim) and b_s (S × dim) of the least-squares fit to the means of seen cells."""
    means, seen = _cell_means(data)
    n_classes, parts = len(data.classes), data.parts_a_class
    cells = np.flatnonzero(seen)
    design = np.zeros((len(cells), n_classes + parts))
    design[np.arange(len(cells)), cells // parts] = 1
    design[np.arange(len(cells)), n_classes + cells % parts] = 1
    fitted: Floats = np.linalg.lstsq(design, means[cells], rcond=None)[0].astype(np.float64)
    fitted[design.sum(axis=0) == 0] = np.nan
    return fitted[:n_classes], fitted[n_classes:]


def _cell_means(data: EvaluationData) -> tuple[Floats, npt.NDArray[np.bool_]]:
    cells = data.cells(data.train)
    counts = np.bincount(cells, minlength=len(data.cell_counts))
    sums = np.zeros((len(counts), data.train.x.shape[1]))
    np.add.at(sums, cells, data.train.x)
    return sums / np.maximum(counts, 1)[:, None], counts > 0
