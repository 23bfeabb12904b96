"""Many small images in one picture."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

MOST_CHARACTERS = 20
_LETTERS = 14
"""Height of a name, in pixels."""


def contact_sheet(
    images: Sequence[npt.NDArray[np.uint8] | None] | npt.NDArray[np.uint8],
    columns: int,
    *,
    names: Sequence[str] = (),
    least: int = 64,
    gap: int = 4,
) -> bytes:
    """Return a PNG of images row by row on white; equal arguments give equal bytes.

    Args:
        images: uint8 (height, width, 3), all of one shape; None leaves a place empty.
        columns: images in a row.
        names: one a row, written before it; none: nothing is written.
        least: pixels that the shorter side of a place has at least. Smaller images are enlarged by a
            whole factor, each pixel a square.
        gap: pixels between images.

    Raises:
        ValueError: images of different shapes, none at all, or names that do not fit the rows.
    """
    height, width = _shape(images)
    lines = -(-len(images) // columns)
    if names and len(names) != lines:
        raise ValueError(f"{len(names)} names do not fit {lines} rows")
    factor = max(1, -(-least // min(height, width)))
    tall, wide = factor * height, factor * width
    font = ImageFont.load_default(_LETTERS)
    words = [name if len(name) <= MOST_CHARACTERS else name[: MOST_CHARACTERS - 1] + "…"
             for name in names]  # fmt: skip
    left = max((int(font.getlength(word)) + 2 * gap for word in words), default=0)
    size = (left + columns * (wide + gap) + gap, lines * (tall + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for line, word in enumerate(words):
        middle = gap + line * (tall + gap) + tall // 2
        draw.text((gap, middle), word, fill="black", font=font, anchor="lm")
    for number, image in enumerate(images):
        if image is not None:
            line, column = divmod(number, columns)
            large = np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)
            place = left + gap + column * (wide + gap), gap + line * (tall + gap)
            sheet.paste(Image.fromarray(large), place)
    stream = BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _shape(
    images: Sequence[npt.NDArray[np.uint8] | None] | npt.NDArray[np.uint8],
) -> tuple[int, int]:
    shapes = {image.shape for image in images if image is not None}
    if len(shapes) != 1:
        found = ", ".join(map(str, sorted(shapes))) or "no image"
        raise ValueError(f"expected images of one shape, found {found}")
    height, width, channels = shapes.pop()
    if channels != 3:
        raise ValueError(f"expected 3 channels, found {channels}")
    return height, width
