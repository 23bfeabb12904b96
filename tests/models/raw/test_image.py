"""One image: what is decoded, and how; what is refused, and by which code."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from models.raw.image import decode_image, inspect_image
from models.raw.limits import RawLimits
from models.raw.problem import ItemProblem
from tests.models.raw.conftest import encoded, picture, png


def code(data, **limits):
    with pytest.raises(ItemProblem) as caught:
        decode_image(data, RawLimits(**limits))
    return caught.value.code


def chunk(name, data):
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


def png_header(width, height, depth=8, colour=2):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2L5B", width, height, depth, colour, 0, 0, 0))  # fmt: skip


def test_a_png_comes_back_pixel_for_pixel():
    image = decode_image(png(3))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(picture(3)))


@pytest.mark.parametrize(("kind", "word"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WebP")])
def test_the_formats_that_are_taken(kind, word):
    assert inspect_image(encoded(picture(), kind)) == (word, 12, 10)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_mode_of_8_bits_becomes_rgb(mode):
    assert decode_image(encoded(picture().convert(mode))).mode == "RGB"


def test_alpha_lies_on_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert [decode_image(encoded(image)).getpixel((x, 0)) for x in (0, 1)] == [
        (0, 0, 0), (255, 255, 255),
    ]  # fmt: skip


def test_a_transparent_colour_of_a_palette_lies_on_white():
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    decoded = decode_image(encoded(image, transparency=1))
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (255, 255, 255)]


def test_exif_turns_the_image():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode_image(encoded(picture(size=(12, 10)), "JPEG", exif=exif))
    assert turned.size == (10, 12)


def test_an_exif_block_that_cannot_be_read_turns_nothing():
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert decode_image(data).size == (12, 10)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_cut_anywhere_is_truncated(kind):
    data = encoded(picture(size=(32, 32)), kind)
    for end in (40, len(data) // 2, len(data) - 13, len(data) - 4, len(data) - 1):
        assert code(data[:end]) == "image_truncated", end


def test_a_pixel_bomb_is_refused_by_its_header():
    """40,000² pixels of nothing: 1.6 GB once decoded."""
    bomb = png_header(40_000, 40_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert code(bomb) == "image_too_large"


def test_an_image_beyond_the_limit_is_refused():
    assert code(png(), max_pixels=119) == "image_too_large"
    assert inspect_image(png(), RawLimits(max_pixels=120)).width == 12


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_an_animated_image_is_refused(kind):
    data = encoded(picture(), kind, save_all=True, append_images=[picture(1)], duration=100)
    assert code(data) == "image_animated"


def test_a_jpeg_with_a_second_picture_behind_it_is_its_first():
    data = encoded(picture(), "MPO", save_all=True, append_images=[picture(1)])
    assert inspect_image(data).format == "JPEG"


def test_a_cmyk_jpeg_is_refused():
    assert code(encoded(picture().convert("CMYK"), "JPEG")) == "image_mode"


def test_a_16_bit_grey_png_is_refused():
    grey = Image.fromarray(np.arange(120, dtype=np.uint16).reshape(10, 12) * 500)
    assert code(encoded(grey)) == "image_mode"


def test_a_16_bit_rgb_png_is_refused_though_pillow_would_shorten_it():
    rows = b"".join(b"\0" + bytes(12) for _ in range(2))
    data = png_header(2, 2, depth=16) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert Image.open(io.BytesIO(data)).mode == "RGB"
    assert code(data) == "image_mode"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_no_image_here(kind):
    assert code(encoded(picture(), kind)) == "not_an_image"


@pytest.mark.parametrize("data", [b"", b"hello, I am text", b"\0" * 100, b"%!PS-Adobe-3.0 EPSF"])
def test_what_is_no_image(data):
    assert code(data) == "not_an_image"


def test_damage_is_never_anything_but_an_item_problem():
    generator = np.random.default_rng(0)
    whole = {kind: encoded(picture(size=(32, 32)), kind) for kind in ("JPEG", "PNG", "WEBP")}
    refused = 0
    for round_ in range(600):
        data = bytearray(list(whole.values())[round_ % 3])
        for place in generator.integers(0, len(data), 1 + round_ % 4):
            data[place] = generator.integers(0, 256)
        try:
            decode_image(bytes(data))
        except ItemProblem:
            refused += 1
    assert refused > 100
