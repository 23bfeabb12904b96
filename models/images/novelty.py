"""How near images come to training images, pixel by pixel."""

import numpy as np
import numpy.typing as npt

COMPARED_SIDE = 32
"""Larger images are compared as means over blocks of pixels: what two images share is seen there too."""

_TRAIN_AT_ONCE = 4096

Images = npt.NDArray[np.uint8]


def nearest_ratio(made: Images, held_out: Images, train: Images) -> float | None:
    """Return how far synthetic images are from the nearest training image, over how far held-out ones are.

    Medians of Euclidean distances. New images would have about 1, copies 0. None where there is nothing
    to compare, or half of the held-out images are training images themselves.

    Args:
        made: synthetic images, uint8 `n side side 3`.
        held_out: real ones that nothing was trained on, of the same side.
        train: training images.
    """
    if not len(made) or not len(held_out) or not len(train):
        return None
    near = [np.median(nearest_distances(images, train)) for images in (made, held_out)]
    return float(near[0] / near[1]) if near[1] else None


def nearest_distances(images: Images, train: Images) -> npt.NDArray[np.float64]:
    """Return the Euclidean distance of each image to the nearest of ``train``, in values of 0 to 255."""
    rows, least = _values(images), np.full(len(images), np.inf)
    squares = (rows**2).sum(axis=1)
    for start in range(0, len(train), _TRAIN_AT_ONCE):
        among = _values(train[start : start + _TRAIN_AT_ONCE])
        apart = squares[:, None] + (among**2).sum(axis=1) - 2 * (rows @ among.T)
        place = apart.argmin(axis=1)
        # Measured anew: the sums above subtract large squares, which leaves little of a small distance.
        least = np.minimum(least, np.sqrt(((rows - among[place]) ** 2).sum(axis=1)))
    return least


def _values(images: Images) -> npt.NDArray[np.float64]:
    """Return images as rows, of at most `COMPARED_SIDE` pixels a side."""
    side = images.shape[1]
    block = max(1, side // COMPARED_SIDE)
    small = side // block
    wide = images[:, : small * block, : small * block].astype(np.float64)
    blocks = wide.reshape(len(images), small, block, small, block, 3).mean(axis=(2, 4))
    found: npt.NDArray[np.float64] = blocks.reshape(len(images), -1)
    return found
