"""Which images are as good as one: the root mean square of the difference of small copies."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32
"""Of the copies that are compared, in pixels."""

_MEAN = Image.Resampling.BOX

_BLOCK = 4
"""Pixels a side of the blocks by whose means pairs are found that may be near."""

_AT_ONCE = 512

_MAY_BE = 1e-5
"""In squared values of 0 to 1, what sums in float32 may be off by."""

Small = npt.NDArray[np.uint8]
"""uint8 (n, 32, 32, 3)."""


def small(images: Sequence[npt.NDArray[np.uint8]]) -> Small:
    """Return copies of 32 pixels a side, whatever the proportions, each pixel a mean of those below it.

    Args:
        images: uint8 (h, w, 3), of any sizes.
    """
    copies = np.empty((len(images), SIDE, SIDE, 3), dtype=np.uint8)
    for copy, image in zip(copies, images, strict=True):
        as_is = image.shape == copy.shape
        resized = image if as_is else Image.fromarray(image).resize((SIDE, SIDE), _MEAN)
        copy[:] = np.asarray(resized)
    return copies


def distance(edits: Small, sources: Small) -> npt.NDArray[np.float64]:
    """Return float64 (n,): the root mean square of the difference of each pair, in values of 0 to 1."""
    squares = (_rows(edits) - _rows(sources)) ** 2
    return np.asarray(np.sqrt(squares.mean(axis=1)), dtype=np.float64)


def twins(edits: Small, within: float, since: int = 0) -> npt.NDArray[np.int64]:
    """Return int64 (m, 2): the pairs nearer to each other than ``within``, the earlier first.

    Sorted by the later, then by the earlier. Images that are all alike make as many pairs as there are:
    black ones should be left out.

    Args:
        edits: copies of all edits, in the order in which they were planned.
        within: in values of 0 to 1; a pair as far apart as this is not one.
        since: only pairs whose later edit is at this place or after it: those before are known.
    """
    rows, found = _means(edits), [np.empty((0, 2), dtype=np.int64)]
    squares = (rows**2).mean(axis=1)
    for start in range(since, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        for first in range(0, min(part.stop, len(rows)), _AT_ONCE):
            among = slice(first, first + _AT_ONCE)
            products = rows[part] @ rows[among].T / rows.shape[1]
            # Means over blocks are never farther apart than the pixels are.
            apart = squares[part, None] + squares[among] - 2 * products
            later, earlier = np.nonzero(apart < within**2 + _MAY_BE)
            pairs = np.stack([earlier + first, later + start], axis=1)
            found += _near(edits, pairs[pairs[:, 0] < pairs[:, 1]], within)
    every = np.concatenate(found)
    return every[np.lexsort((every[:, 0], every[:, 1]))]


def _near(edits: Small, pairs: npt.NDArray[np.int64], within: float) -> list[npt.NDArray[np.int64]]:
    """Return those of the pairs that are near by all their pixels."""
    found = []
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        found.append(some[distance(edits[some[:, 0]], edits[some[:, 1]]) < within])
    return found


def _means(images: Small) -> npt.NDArray[np.float32]:
    """Return float32 (n, 192), means over blocks in values of 0 to 1."""
    side = SIDE // _BLOCK
    means = images.reshape(len(images), side, _BLOCK, side, _BLOCK, 3).mean(
        axis=(2, 4), dtype=np.float32
    )
    rows: npt.NDArray[np.float32] = means.reshape(len(images), side * side * 3) / np.float32(255)
    return rows


def _rows(images: Small) -> npt.NDArray[np.float64]:
    rows: npt.NDArray[np.float64] = images.reshape(len(images), SIDE * SIDE * 3) / 255
    return rows
