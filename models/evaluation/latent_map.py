"""Where synthetic latents lie among real ones: two dimensions of them, for the eye."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from models.evaluation.data import EvaluationData, Labels, Latents

CLASSES_SHOWN = 8
"""More colours than this are not told apart; the rest is grey."""

ROWS_A_CLASS = 60
ROWS_BEHIND = 500
TSNE_ROWS = 1600
"""Up to here t-SNE takes some 2 s on one thread; beyond it, PCA."""

TSNE_STEPS = 500

PERPLEXITY = 30


@dataclass(frozen=True)
class LatentMap:
    """Points of real and synthetic latents in one plane.

    Attributes:
        method: `t-SNE` or `PCA`.
        names: of the classes shown in colour, with their training rows.
        real: `n 2`, of the classes in `real_label` (number in `names`, or -1: another class).
        synthetic: `m 2`, likewise.
    """

    method: str
    names: tuple[str, ...]
    train_rows: tuple[int, ...]
    real: npt.NDArray[np.float64]
    real_label: npt.NDArray[np.int64]
    synthetic: npt.NDArray[np.float64]
    synthetic_label: npt.NDArray[np.int64]


def project(
    data: EvaluationData, synthetic: tuple[Latents, Labels], seed: int = 0
) -> LatentMap | None:
    """Real test rows and synthetic rows of the scarcest classes, the other classes behind them.

    Test rows, because no generator saw them: that is where synthetic rows ought to lie. None
    where there is nothing to show: fewer than three points, or a single dimension.
    """
    rng = np.random.default_rng(seed)
    shown = _scarcest(data, synthetic[1])
    real = [_some(data.test.y == label, ROWS_A_CLASS, rng) for label in shown]
    made = [_some(synthetic[1] == label, ROWS_A_CLASS, rng) for label in shown]
    behind = _some(~np.isin(data.test.y, shown), ROWS_BEHIND, rng)
    real_rows = np.concatenate([*real, behind]).astype(np.int64)
    made_rows = np.concatenate([*made, np.empty(0)]).astype(np.int64)
    if len(real_rows) + len(made_rows) < 3 or data.test.x.shape[1] < 2 or not len(data.train.x):
        return None
    x = np.concatenate([data.test.x[real_rows], synthetic[0][made_rows]]).astype(np.float64)
    scale = data.train.x.std(axis=0, dtype=np.float64)
    method, plane = _plane(x / np.where(scale > 0, scale, 1.0), seed)
    real_label = [np.full(len(rows), number) for number, rows in enumerate(real)]
    return LatentMap(
        method=method,
        names=tuple(data.classes[label] for label in shown),
        train_rows=tuple(int(data.train_counts[label]) for label in shown),
        real=plane[: len(real_rows)],
        real_label=np.concatenate([*real_label, np.full(len(behind), -1)]).astype(np.int64),
        synthetic=plane[len(real_rows) :],
        synthetic_label=np.repeat(np.arange(len(shown)), [len(rows) for rows in made]),
    )


def _scarcest(data: EvaluationData, made: Labels) -> npt.NDArray[np.int64]:
    """The classes with the fewest training rows, of those that have synthetic and test rows."""
    n = len(data.classes)
    seen = (np.bincount(made, minlength=n) > 0) & (np.bincount(data.test.y, minlength=n) > 0)
    labels = np.flatnonzero(seen)
    order = np.argsort(data.train_counts[labels], kind="stable")
    return labels[order][:CLASSES_SHOWN]


def _some(
    mask: npt.NDArray[np.bool_], at_most: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    rows = np.flatnonzero(mask)
    return rng.permutation(rows)[:at_most]


def _plane(x: npt.NDArray[np.float64], seed: int) -> tuple[str, npt.NDArray[Any]]:
    coarse = PCA(min(30, *x.shape), random_state=seed).fit_transform(x)
    if len(x) <= 3 * PERPLEXITY or len(x) > TSNE_ROWS:
        return "PCA", coarse[:, :2]
    flat = TSNE(
        2, perplexity=PERPLEXITY, init="pca", max_iter=TSNE_STEPS, random_state=seed, n_jobs=1
    )
    return "t-SNE", flat.fit_transform(coarse)
