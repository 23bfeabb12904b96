"""Images of any kind as the pixels that a classifier reads: uint8, square, of one side."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cultivar._exceptions import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]

PIXELS_AT_ONCE = 256 * 32 * 32
"""Pixels of the images that go through a network together."""


def batches(images: Any, side: int) -> Iterator[Pixels]:
    """Yield images as uint8 arrays ``n, side, side, 3``, in their order, a bounded number at a time.

    The shorter side of an image of another size is brought to ``side``, smoothed, and its middle
    is taken.

    Raises:
        InvalidInput: an image cannot be read, or is no image; its number is told.
        ConfigurationError: images must be decoded or resized, and Pillow is not installed.
    """
    checked = _checked(images)
    rows = max(1, PIXELS_AT_ONCE // (side * side))
    for start in range(0, len(checked), rows):
        part = checked[start : start + rows]
        if isinstance(part, np.ndarray) and part.shape[1:3] == (side, side):
            yield np.ascontiguousarray(part)
        else:
            yield np.stack([_square(one, start + i, side) for i, one in enumerate(part)])


def _checked(images: Any) -> Any:
    """Return an array of images, or a list of what may be one each."""
    if isinstance(images, str | os.PathLike):
        raise InvalidInput("images is one path; expected a list of them, as in [path]")
    if isinstance(images, Sequence):
        return list(images)
    try:
        x = np.asarray(images)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"images cannot be made an array: {error}") from error
    if x.dtype != np.uint8:
        raise InvalidInput(f"images has values of type {x.dtype}; expected uint8, from 0 to 255")
    if x.ndim != 4 or x.shape[3] != 3 or 0 in x.shape[1:3]:
        one = "; one image is a row, images[None]" if x.ndim == 3 and x.shape[2] == 3 else ""
        raise InvalidInput(f"images has shape {x.shape}; expected n × height × width × 3{one}")
    return x


def _square(one: Any, number: int, side: int) -> Pixels:
    """Return an image's middle, its shorter side brought to ``side``."""
    if isinstance(one, np.ndarray) and one.shape == (side, side, 3) and one.dtype == np.uint8:
        return one
    pillow = _pillow()
    image = _rgb(one, number, pillow)
    fitted = pillow.ImageOps.fit(image, (side, side), pillow.Image.Resampling.LANCZOS)
    return np.asarray(fitted, dtype=np.uint8)


def _rgb(one: Any, number: int, pillow: Any) -> "Image":
    """Return an image in RGB, turned as its EXIF says, what is transparent on white."""
    _check_kind(one, number, pillow)
    try:
        image = pillow.ImageOps.exif_transpose(_opened(one, pillow))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white: Image = pillow.Image.new("RGB", image.size, "white")
            white.paste(image, mask=image.getchannel("A"))
            return white
        rgb: Image = image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(f"image {number} cannot be read: {error}") from error
    return rgb


def _opened(one: Any, pillow: Any) -> "Image":
    if isinstance(one, np.ndarray):
        made: Image = pillow.Image.fromarray(one)
        return made
    if isinstance(one, pillow.Image.Image):
        given: Image = one
        return given
    with pillow.Image.open(one) as file:
        copied: Image = file.copy()
        return copied


def _check_kind(one: Any, number: int, pillow: Any) -> None:
    if isinstance(one, str | os.PathLike | pillow.Image.Image):
        return
    found = type(one).__name__
    if isinstance(one, np.ndarray):
        if one.dtype == np.uint8 and one.ndim == 3 and one.shape[2] == 3 and one.size:
            return
        found = f"an array of {one.dtype} {one.shape}"
    raise InvalidInput(
        f"image {number} is {found}; expected a path, a Pillow image or uint8 height × width × 3"
    )


def _pillow() -> Any:
    try:
        import PIL.Image  # noqa: PLC0415 (optional)
        import PIL.ImageOps  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "images are decoded and resized by Pillow: `pip install 'cultivar[images]'`"
        ) from error
    return PIL
