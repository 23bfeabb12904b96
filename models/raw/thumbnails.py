"""One small picture of a dataset of images: a few of each class, in the order of classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from models.raw.image import decode_image
from models.raw.limits import RawLimits

MOST = 64
SIDE = 96
_COLUMNS = 8


def chosen_rows(y: npt.NDArray[np.int64]) -> list[int]:
    """Return up to 64 rows: as many of each class, evenly among its own; those without a label last."""
    numbers, counts = np.unique(y, return_counts=True)
    order = np.argsort(y, kind="stable")
    starts = np.cumsum(counts) - counts
    each = max(1, MOST // len(numbers))
    groups = [
        order[start + np.linspace(0, count - 1, min(each, count)).astype(np.int64)]
        for start, count in zip(starts, counts, strict=True)
    ]
    if numbers[0] < 0:
        groups.append(groups.pop(0))
    rows: list[int] = np.concatenate(groups)[:MOST].tolist()
    return rows


def write_thumbnails(
    path: Path, y: npt.NDArray[np.int64], item: Callable[[int], bytes], limits: RawLimits
) -> None:
    """Write a contact sheet (WebP): 8 a row, each cut to a square of 96 pixels."""
    rows = chosen_rows(y)
    lines = -(-len(rows) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * SIDE, lines * SIDE), "white")
    for number, row in enumerate(rows):
        small = ImageOps.fit(decode_image(item(row), limits), (SIDE, SIDE))
        sheet.paste(small, (number % _COLUMNS * SIDE, number // _COLUMNS * SIDE))
    sheet.save(path, "WEBP", quality=80)
