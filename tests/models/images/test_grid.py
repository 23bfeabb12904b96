"""Contact sheets: every image in its place."""

import io

import numpy as np
import pytest
from PIL import Image

from models.images.grid import contact_sheet


def opened(sheet: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(sheet))
    assert image.format == "PNG"
    return np.asarray(image)


def noise(n: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, (n, side, side, 3), dtype=np.uint8)


def test_images_stand_row_by_row() -> None:
    images = noise(5)
    found = opened(contact_sheet(images, 3, least=8, gap=2))
    assert found.shape == (2 * 10 + 2, 3 * 10 + 2, 3)
    for number, image in enumerate(images):
        line, column = divmod(number, 3)
        top, left = 2 + 10 * line, 2 + 10 * column
        assert np.array_equal(found[top : top + 8, left : left + 8], image)
    assert (found[12:20, 22:30] == 255).all()


def test_small_images_are_enlarged_by_a_whole_factor() -> None:
    (image,) = noise(1)
    found = opened(contact_sheet([image], 1, least=20, gap=0))
    assert found.shape == (24, 24, 3)
    assert np.array_equal(found[1::3, 1::3], image)
    assert np.array_equal(found[::3, 2::3], image)


def test_a_place_may_stay_empty() -> None:
    first, last = noise(2)
    found = opened(contact_sheet([first, None, last], 3, least=8, gap=0))
    assert (found[:, 8:16] == 255).all()
    assert np.array_equal(found[:, 16:], last)


def test_each_row_may_have_a_name_before_it() -> None:
    images = noise(4)
    bare = opened(contact_sheet(images, 2))
    named = opened(contact_sheet(images, 2, names=["cat", "a name of a class without an end"]))
    left = named.shape[1] - bare.shape[1]
    assert np.array_equal(named[:, left:], bare)
    upper, lower = named[: len(bare) // 2, :left], named[len(bare) // 2 :, :left]
    assert (upper < 128).any()
    assert (lower < 128).sum() > (upper < 128).sum()


def test_equal_images_give_equal_bytes() -> None:
    assert contact_sheet(noise(3), 2, names=["a", "b"]) == contact_sheet(
        list(noise(3)), 2, names=["a", "b"]
    )


@pytest.mark.parametrize(
    ("images", "names", "says"),
    [
        ([], (), "found no image"),
        ([None], (), "found no image"),
        ([*noise(1), *noise(1, 4)], (), r"found \(4, 4, 3\), \(8, 8, 3\)"),
        ([np.zeros((4, 4, 1), np.uint8)], (), "found 1"),
        (noise(3), ("a",), "1 names do not fit 2 rows"),
    ],
)
def test_what_does_not_fit_is_refused(images: list, names: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        contact_sheet(images, 2, names=names)
