"""Whether synthetic latents are new: copies of training rows, and how near others come to them."""

import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from models.evaluation.figure import FEWEST_ROWS, Figure

Latents = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.float64]

COPY_RMS = 1e-5
"""Below this root mean square a dimension, in units of the training rows' spread, two rows differ by
rounding alone: float32, to latents and back."""

FEWEST_BELOW = 3
"""Held-out rows that must lie below a percentile for it to be one."""

BINS = 36


def row_hashes(rows: Latents) -> set[bytes]:
    """A hash of each row's float32 values, for `copies`: there may be millions of rows."""
    return {_hash(row) for row in rows}


def copies(rows: Latents, known: AbstractSet[bytes]) -> npt.NDArray[np.bool_]:
    """Whether each of `rows` is, value for value, one of those hashed."""
    return np.fromiter((_hash(row) in known for row in rows), dtype=np.bool_, count=len(rows))


def _hash(row: Latents) -> bytes:
    # A zero's sign is no difference between rows.
    values = np.asarray(row, dtype=np.float32) + np.float32(0)
    return hashlib.blake2b(values.tobytes(), digest_size=8).digest()


def nearest_distances(rows: Rows, train: Rows) -> Rows:
    """Root mean square, a dimension, between each row and the nearest of `train`."""
    found = NearestNeighbors(n_neighbors=1).fit(train).kneighbors(rows, return_distance=False)
    # Measured anew: the search subtracts large squares, which leaves little of a tiny distance.
    return np.asarray(np.sqrt(((rows - train[found[:, 0]]) ** 2).mean(axis=1)))


@dataclass(frozen=True)
class Near:
    """A sample's `nearest_distances`, and which rows it is of."""

    rows: npt.NDArray[np.int64]
    distances: Rows


def novelty_figures(
    near_synthetic: Near,
    near_held_out: Near,
    *,
    synthetic: Latents,
    held_out: Latents,
    train: Latents,
) -> list[Figure]:
    """How near synthetic rows come to training rows, measured by how near held-out rows come.

    Args:
        near_synthetic: a sample of the synthetic rows.
        near_held_out: one of as many held-out rows of each class.
        synthetic: all synthetic latents `n dim`.
        held_out: all held-out latents.
        train: all training latents.
    """
    distances = near_synthetic.distances, near_held_out.distances
    known = row_hashes(train)
    made, real = (
        _copy_share(rows, near, known)
        for rows, near in ((synthetic, near_synthetic), (held_out, near_held_out))
    )
    return [
        _ratio(*distances),
        _nearer(*distances, percent=1),
        _nearer(*distances, percent=5),
        Figure(
            "copy_share",
            "copies of training rows",
            "lower",
            len(synthetic),
            len(held_out),
            value=made,
            reference=real if len(synthetic) else None,
            reason=None if len(synthetic) else "there is no synthetic row",
        ),
    ]


def _ratio(made: Rows, real: Rows) -> Figure:
    figure = partial(
        Figure,
        "nearest_ratio",
        "median distance to the nearest training row, synthetic over held-out",
        "near_reference",
        len(made),
        len(real),
    )
    if len(real) < FEWEST_ROWS:
        return figure(reason=_too_few(len(real), FEWEST_ROWS))
    middle = float(np.median(real))
    if not middle:
        return figure(reason="half of the held-out rows or more are training rows themselves")
    return figure(value=float(np.median(made)) / middle, reference=1.0)


def _nearer(made: Rows, real: Rows, *, percent: int) -> Figure:
    figure = partial(
        Figure,
        f"near_share_{percent}",
        f"nearer to a training row than all but {percent} % of held-out rows",
        "lower",
        len(made),
        len(real),
    )
    needed = FEWEST_BELOW * 100 // percent
    if len(real) < needed:
        return figure(reason=_too_few(len(real), needed))
    below = made < np.percentile(real, percent)
    return figure(value=float(below.mean()), reference=percent / 100)


def _copy_share(rows: Latents, near: Near, known: AbstractSet[bytes]) -> float | None:
    """Copies value for value, of all rows; and those but for rounding, as the sample has them."""
    if not len(rows):
        return None
    exact = copies(rows, known)
    rounded = (near.distances < COPY_RMS) & ~exact[near.rows]
    return float(exact.mean()) + (float(rounded.mean()) if len(rounded) else 0.0)


def _too_few(found: int, needed: int) -> str:
    return f"{found} held-out rows can be compared, class by class; {needed} are needed"


def histogram(made: Rows, real: Rows) -> dict[str, list[float]]:
    """Shares a bin; what lies beyond the last edge is counted in the last bin."""
    top = float(np.percentile(np.concatenate([made, real]), 99.5)) or 1.0
    edges = np.linspace(0, top, BINS + 1)
    shares = [
        np.histogram(np.minimum(distances, top), edges)[0] / len(distances)
        for distances in (made, real)
    ]
    return {
        "edges": edges.round(6).tolist(),
        "synthetic": shares[0].round(6).tolist(),
        "held_out": shares[1].round(6).tolist(),
    }
