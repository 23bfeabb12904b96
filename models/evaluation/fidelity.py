"""Fidelity and novelty of synthetic latents: figures, each with what a perfect generator would get.

Computed where the heads look: on latents as the heads take them, in units of the training rows'
spread (one number for all dimensions, so that no direction gains). Synthetic rows are balanced and real ones are not, so every comparison has the same number of
rows of each class on both sides (of each cell, where subdomains are conditioned on), drawn by seed
(`matching`). The reference is the same figure with
further real rows in place of the synthetic ones: as many, of the same classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from models.evaluation.data import EvaluationData, LabelledRows, Latents
from models.evaluation.figure import FEWEST_ROWS, Direction, Figure
from models.evaluation.matching import Matched, match, match_two
from models.evaluation.novelty import Near, histogram, nearest_distances, novelty_figures
from models.evaluation.two_samples import (
    NEIGHBOURS,
    frechet_distance,
    neighbourhoods,
    two_sample_test,
)

Rows = npt.NDArray[np.float64]


COMPONENTS = 64
"""Leading components for Fréchet distance and C2ST; with fewer rows, half as many as rows."""

TRAIN_ROWS = 50_000
"""Training rows among which the nearest is sought; of more, a sample by seed."""


@dataclass(frozen=True)
class Fidelity:
    """All figures, against one held-out part.

    Attributes:
        measured_on: `val` or `test`.
        figures: by name, in the order in which they are shown.
        classes: how many were compared.
        left_out: names of classes, or cells, with synthetic rows and no real ones to compare with.
        components: dimensions of Fréchet distance and C2ST; 0 where there are none.
        histogram: `edges`, and the shares of synthetic and held-out rows a bin, of distances to the
            nearest training row; None where nothing was compared.
    """

    measured_on: str
    figures: Mapping[str, Figure]
    classes: int
    left_out: tuple[str, ...]
    components: int
    histogram: Mapping[str, Sequence[float]] | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "figures": [asdict(figure) for figure in self.figures.values()],
            "left_out": list(self.left_out),
            "neighbours": NEIGHBOURS,
        }


def measure_fidelity(
    data: EvaluationData,
    synthetic: LabelledRows,
    *,
    part: Literal["val", "test"] = "test",
    seed: int = 0,
) -> Fidelity:
    """Compare synthetic latents with the held-out rows of `part`, and with the training rows.

    Args:
        data: the parted real rows.
        synthetic: latents `n dim` of the space that the real rows are in, their classes, and their
            subdomains where the data have any.
        part: which rows are held out: release is decided on `val`, the report shows `test`.
        seed: of every sample that is drawn.
    """
    (train, held_out, synthetic), parts = _numbered(data, synthetic, part)
    n = len(data.classes) * parts
    matched = match(synthetic.y, held_out.y, train.y, n, seed)
    spread = _spread(train.x)
    sides = _sides(train, held_out, synthetic, matched, spread)
    components = min(COMPONENTS, sides[0].shape[1], len(sides[0]) // 2)
    near = _nearest(train, held_out, synthetic, n, seed, spread)
    figures = [
        *_two_samples(*sides, components=components, seed=seed),
        *novelty_figures(*near, synthetic=synthetic.x, held_out=held_out.x, train=train.x),
    ]
    return Fidelity(
        measured_on=part,
        figures={figure.name: figure for figure in figures},
        classes=int((matched.counts.reshape(-1, parts) > 0).any(axis=1).sum()),
        left_out=_left_out(synthetic, matched, data, parts),
        components=components if len(sides[0]) >= FEWEST_ROWS else 0,
        histogram=histogram(*(one.distances for one in near)) if len(near[0].rows) else None,
    )


def _numbered(
    data: EvaluationData, synthetic: LabelledRows, part: Literal["val", "test"]
) -> tuple[list[LabelledRows], int]:
    """Training, held-out and synthetic rows by class or by cell, and the cells of a class."""
    held_out = data.val if part == "val" else data.test
    by_cell = bool(data.subdomains) and synthetic.subdomain is not None
    numbered = [
        LabelledRows(rows.x, data.cells(rows) if by_cell else rows.y)
        for rows in (data.train, held_out, synthetic)
    ]
    return numbered, data.parts_a_class if by_cell else 1


def _sides(
    train: LabelledRows,
    held_out: LabelledRows,
    synthetic: LabelledRows,
    matched: Matched,
    spread: float,
) -> list[Rows]:
    """The synthetic, the held-out and the reference sample, each in the order of the classes."""
    chosen = (
        synthetic.x[matched.synthetic],
        held_out.x[matched.real],
        _reference(train, held_out, matched),
    )
    return [_scaled(rows, spread) for rows in chosen]


def _reference(train: LabelledRows, held_out: LabelledRows, matched: Matched) -> Latents:
    """The real rows that stand for a perfect generator's, in the order of the classes."""
    parts = (train, matched.reference_train), (held_out, matched.reference_held_out)
    y = np.concatenate([part.y[rows] for part, rows in parts])
    x: Latents = np.concatenate([part.x[rows] for part, rows in parts])
    return x[np.argsort(y, kind="stable")]


def _spread(train: Latents) -> float:
    """Root mean square deviation of training rows, a dimension; 1 where they are all alike."""
    some = train[:: max(1, len(train) // TRAIN_ROWS)]
    return float(np.sqrt(some.var(axis=0, dtype=np.float64).mean())) or 1.0 if len(some) else 1.0


def _scaled(x: Latents, spread: float) -> Rows:
    return np.asarray(x, dtype=np.float64) / spread


def _left_out(
    synthetic: LabelledRows, matched: Matched, data: EvaluationData, parts: int
) -> tuple[str, ...]:
    made = np.bincount(synthetic.y, minlength=len(matched.counts))
    cells = np.flatnonzero((made > 0) & (matched.counts == 0)).tolist()
    if parts == 1:
        return tuple(data.classes[cell] for cell in cells)
    return tuple(
        f"{data.classes[cell // parts]} in {data.subdomains[cell % parts]}" for cell in cells
    )


_LABELS: dict[str, tuple[str, Direction]] = {
    "frechet_distance": ("Fréchet distance", "lower"),
    "precision": ("precision", "higher"),
    "recall": ("recall", "higher"),
    "density": ("density", "higher"),
    "coverage": ("coverage", "higher"),
    "c2st": ("told apart by a classifier (C2ST)", "lower"),
}


def _two_samples(
    made: Rows, real: Rows, reference: Rows, *, components: int, seed: int
) -> list[Figure]:
    """Figures of synthetic against held-out rows, and of the reference against the same rows."""
    n = len(made)
    if n < FEWEST_ROWS:
        reason = f"{n} rows a side can be compared, class by class; {FEWEST_ROWS} are needed"
        return [_figure(name, n, reason=reason) for name in _LABELS]
    # Of all three sides, so that what synthetic rows have too much of is seen as well.
    projection = PCA(components, random_state=seed % 2**32).fit(
        np.concatenate([made, real, reference])
    )
    z_made, z_real, z_reference = (projection.transform(x) for x in (made, real, reference))
    near, expected = (vars(neighbourhoods(real, x)) for x in (made, reference))
    told, told_reference = (two_sample_test(z, z_real) for z in (z_made, z_reference))
    return [
        _figure(
            "frechet_distance",
            n,
            value=frechet_distance(z_made, z_real),
            reference=frechet_distance(z_reference, z_real),
        ),
        *(_figure(name, n, value=near[name], reference=expected[name]) for name in near),
        _figure(
            "c2st",
            n,
            value=told.value,
            reference=told_reference.value,
            low=told.low,
            high=told.high,
        ),
    ]


def _figure(name: str, n: int, **found: Any) -> Figure:
    label, direction = _LABELS[name]
    return Figure(name, label, direction, n, n, **found)


def _nearest(
    train: LabelledRows,
    held_out: LabelledRows,
    synthetic: LabelledRows,
    n_classes: int,
    seed: int,
    spread: float,
) -> tuple[Near, Near]:
    """Distances of synthetic and of held-out rows, alike in classes, to the nearest training row."""
    made, kept = match_two(synthetic.y, held_out.y, n_classes, seed)
    among = np.random.default_rng([seed, 3]).permutation(len(train.y))[:TRAIN_ROWS]
    if not len(made) or not len(among):
        nothing = Near(made[:0], np.empty(0))
        return nothing, nothing
    near = _scaled(train.x[np.sort(among)], spread)
    return (
        Near(made, nearest_distances(_scaled(synthetic.x[made], spread), near)),
        Near(kept, nearest_distances(_scaled(held_out.x[kept], spread), near)),
    )
