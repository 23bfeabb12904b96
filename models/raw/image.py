"""One image out of untrusted bytes: JPEG, PNG or WebP, of 8 bits a channel, whole, not moving."""

import struct
from contextlib import suppress
from io import BytesIO
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from models.embeddings.wording import show
from models.raw.limits import RAW_LIMITS, RawLimits
from models.raw.problem import ItemProblem

FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".webp": "WebP",
}  # fmt: skip
"""What an extension says that an image is."""

_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP")
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}
# What Pillow's readers raise on damaged bytes, by their sources and by trial.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError,
    OverflowError, ZeroDivisionError, AttributeError, Image.DecompressionBombWarning,
)  # fmt: skip
_OTHERS = {
    b"GIF8": "a GIF", b"BM": "a BMP", b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"%PDF": "a PDF",
    b"\0\0\x01\0": "an icon", b"8BPS": "a Photoshop file", b"\0\0\0\x0cjP  ": "a JPEG 2000",
}  # fmt: skip


class ImageFacts(NamedTuple):
    """What a checked image is; sizes in pixels, before its EXIF orientation is applied."""

    format: str
    width: int
    height: int


def decode_image(data: bytes, limits: RawLimits = RAW_LIMITS) -> Image.Image:
    """Return an image in mode RGB, turned as its EXIF says, alpha on white.

    Raises:
        ItemProblem: ``not_an_image``, ``image_too_large``, ``image_animated``, ``image_mode``,
            ``image_truncated``.
    """
    image, _ = _decoded(data, limits)
    # An EXIF block that cannot be read says nothing of how the image is turned.
    with suppress(*_DAMAGE):
        ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def inspect_image(data: bytes, limits: RawLimits = RAW_LIMITS) -> ImageFacts:
    """Return what an image is, once it has been decoded in full; raises as `decode_image` does."""
    return _decoded(data, limits)[1]


def _decoded(data: bytes, limits: RawLimits) -> tuple[Image.Image, ImageFacts]:
    kind = _kind(data)
    if kind == "PNG":
        _check_png(data)
    try:
        image = Image.open(BytesIO(data), formats=_PILLOW_FORMATS)
    except Image.DecompressionBombError as error:
        raise ItemProblem("image_too_large", f"{error}; {_at_most(limits)}") from None
    except UnidentifiedImageError:
        raise ItemProblem("image_truncated", f"begins like a {kind}, but has no header") from None
    except _DAMAGE as error:
        raise ItemProblem(
            "image_truncated", f"is a {kind} that cannot be read: {show(error)}"
        ) from None
    _check_header(image, data, limits)
    width, height = image.size
    try:
        image.load()
    except _DAMAGE as error:
        raise ItemProblem(
            "image_truncated", f"is a {kind} of {width} × {height} that is not whole: {show(error)}"
        ) from None
    return image, ImageFacts(kind, width, height)


def _kind(data: bytes) -> str:
    """Return the format by the first bytes: the name is only a claim."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    found = next((word for magic, word in _OTHERS.items() if data.startswith(magic)), None)
    if found is None:
        found = "empty" if not data else "text?" if data[:512].isascii() else "unknown bytes"
    raise ItemProblem("not_an_image", f"is no JPEG, PNG or WebP ({found})")


def _check_header(image: Image.Image, data: bytes, limits: RawLimits) -> None:
    """Hold what the header says against the limits, before a pixel is decoded."""
    width, height = image.size
    if width * height > limits.max_pixels:
        raise ItemProblem(
            "image_too_large", f"is {width:,} × {height:,} pixels; {_at_most(limits)}"
        )
    # A JPEG with more pictures behind it (MPO: depth, gain) is its first one, and does not move.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise ItemProblem("image_animated", f"moves ({frames} frames); expected a still image")
    # Pillow brings 16-bit colour to 8 bits without a word: the header's own depth is looked at.
    deep = image.format == "PNG" and data[24] == 16
    if deep or image.mode not in _MODES:
        found = "has 16 bits a channel" if deep else f"is in mode {image.mode}"
        raise ItemProblem("image_mode", f"{found}; expected RGB or grey of 8 bits a channel")


def _check_png(data: bytes) -> None:
    """Refuse a PNG whose chunks do not lead to its end: Pillow stops reading with the last pixel."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">L", data, at)
        if data[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + length
    raise ItemProblem(
        "image_truncated", f"is a PNG that ends after {len(data):,} bytes, before its end"
    )


def _at_most(limits: RawLimits) -> str:
    return f"at most {limits.max_pixels:,} pixels are taken"
