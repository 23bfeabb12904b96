"""From a raw dataset's rows to square images of one side, as arrays."""

from collections.abc import Callable, Sequence
from contextlib import closing
from io import BytesIO
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from models.cores import cores
from models.encoders.ahead import ahead
from models.errors import InputProblem, Interrupted
from models.images.spec import ImageSide
from models.raw.dataset import RawDataset
from models.raw.image import decode_image
from models.raw.problem import ItemProblem

LARGEST_NATURAL = 64
"""The largest side that is taken where nobody asks for one: above it, training takes hours."""

_LOOKED_AT = 1000
_MOST_THREADS = 8
_TOLD_EVERY = 100


def read_images(
    data: RawDataset,
    rows: Sequence[int] | npt.NDArray[np.integer[Any]],
    side: int,
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> npt.NDArray[np.uint8]:
    """Return uint8 (len(rows), side, side, 3) RGB images of ``rows``, in their order.

    An image is turned as its EXIF says, its alpha laid on white, its short side brought to ``side``
    with antialiasing, and the middle of it cut out. One that is a square of this side stays as it is.

    Args:
        data: images.
        rows: which of them; any may come twice.
        side: in pixels.
        on_progress: called with images read and images in all.
        should_stop: asked before each image.

    Raises:
        InputProblem: an image does not decode: `decode_image`'s code, and the row.
        Interrupted: ``should_stop`` said so.
        ValueError: the dataset has other items than images.
    """
    _refuse_others(data)

    def read(row: int) -> npt.NDArray[np.uint8]:
        try:
            image = decode_image(data.item(row))
        except ItemProblem as problem:
            detail = f"The image of row {row} {problem.detail}."
            raise InputProblem(problem.code, detail, "dataset") from None
        return square(image, side)

    threads = min(_MOST_THREADS, cores())
    images = np.empty((len(rows), side, side, 3), dtype=np.uint8)
    with closing(ahead(read, map(int, rows), threads=threads, most=8 * threads)) as found:
        for number in range(len(rows)):
            if should_stop():
                raise Interrupted(f"stopped after {number} of {len(rows)} images")
            images[number] = next(found)
            if (number + 1) % _TOLD_EVERY == 0 or number + 1 == len(rows):
                on_progress(number + 1, len(rows))
    return images


def square(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """Return the middle of an RGB image, its short side brought to ``side``: uint8 (side, side, 3)."""
    return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS))


def natural_side(data: RawDataset) -> ImageSide:
    """Return the allowed side next to the images' median short side, 64 pixels at most.

    Of large datasets, 1,000 images are looked at, evenly among the rows.

    Raises:
        InputProblem: ``empty_dataset``.
        ValueError: the dataset has other items than images.
    """
    _refuse_others(data)
    if not len(data):
        raise InputProblem("empty_dataset", "The dataset has no images.", "dataset")
    rows = np.linspace(0, len(data) - 1, min(len(data), _LOOKED_AT)).astype(np.int64)
    short = float(np.median([_short_side(data.item(int(row))) for row in rows]))
    sides: list[ImageSide] = [side for side in get_args(ImageSide) if side <= LARGEST_NATURAL]
    return min(sides, key=lambda side: abs(side - short))


def _short_side(data: bytes) -> int:
    """Return an image's short side by its header alone: the whole has been decoded on its way in."""
    with Image.open(BytesIO(data)) as image:
        return min(image.size)


def _refuse_others(data: RawDataset) -> None:
    if data.modality != "image":
        raise ValueError(f"expected a dataset of images, found {data.modality}")
