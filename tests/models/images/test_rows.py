"""Square images of a raw dataset's rows."""

import io
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

from models.errors import InputProblem, Interrupted
from models.images.rows import natural_side, read_images
from models.raw.dataset import RawDataset


def png(values: np.ndarray, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values.astype(np.uint8), mode).save(stream, "PNG", **options)
    return stream.getvalue()


def plain(width: int, height: int, colour: tuple[int, int, int] = (10, 20, 30)) -> bytes:
    return png(np.full((height, width, 3), colour))


def noise(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def dataset_of(items: Sequence[bytes], modality: str = "image") -> RawDataset:
    n = len(items)
    return RawDataset(
        modality=modality,
        items=np.frombuffer(b"".join(items), np.uint8),
        offsets=np.cumsum([0, *map(len, items)]),
        y=np.zeros(n, np.int64),
        split=np.zeros(n, np.int8),
        classes=("only",),
    )


def test_images_of_the_side_asked_for_stay_as_they_are() -> None:
    images = [noise(16, seed) for seed in range(5)]
    data = dataset_of([png(image) for image in images])
    found = read_images(data, np.array([4, 0, 4]), 16)
    assert np.array_equal(found, np.stack([images[4], images[0], images[4]]))


def test_the_middle_is_kept_of_an_oblong_image() -> None:
    thirds = np.zeros((20, 60, 3))
    thirds[:, :20, 0], thirds[:, 20:40, 1], thirds[:, 40:, 2] = 255, 255, 255
    for image in (thirds, thirds.transpose(1, 0, 2)):
        found = read_images(dataset_of([png(image)]), [0], 16)
        assert (found[0, 2:-2, 2:-2] == [0, 255, 0]).all()


def test_shrinking_averages_what_it_leaves_out() -> None:
    chess = 255 * (np.indices((128, 128)).sum(axis=0) % 2)
    found = read_images(dataset_of([png(np.repeat(chess[:, :, None], 3, axis=2))]), [0], 16)
    assert abs(found.astype(int) - 127).max() <= 3


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_transparent_images_become_rgb(mode: str) -> None:
    values = np.full((16, 16, 4), (9, 9, 9, 0)) if mode == "RGBA" else np.full((16, 16), 77)
    found = read_images(dataset_of([png(values, mode)]), [0], 16)
    assert (found == (255 if mode == "RGBA" else 77)).all()


def test_an_image_that_does_not_decode_is_named_by_its_row() -> None:
    data = dataset_of([plain(8, 8), plain(8, 8), plain(8, 8)[:-20]])
    with pytest.raises(InputProblem, match="image of row 2 is a PNG that ends") as caught:
        read_images(data, [0, 2], 16)
    assert caught.value.code == "image_truncated"


def test_progress_ends_with_all_and_a_stop_is_heeded() -> None:
    data, told = dataset_of([plain(8, 8)]), list[tuple[int, int]]()
    read_images(data, [0] * 250, 16, on_progress=lambda *now: told.append(now))
    assert told == [(100, 250), (200, 250), (250, 250)]
    with pytest.raises(Interrupted):
        read_images(data, [0], 16, should_stop=lambda: True)


@pytest.mark.parametrize(
    ("shapes", "side"),
    [
        ([(8, 8)], 16),
        ([(28, 28)], 32),
        ([(100, 33), (31, 90), (500, 500)], 32),
        ([(60, 80)], 64),
        ([(900, 700)], 64),
    ],
)
def test_the_natural_side_is_the_nearest_to_the_median_short_side(
    shapes: list[tuple[int, int]], side: int
) -> None:
    assert natural_side(dataset_of([plain(*shape) for shape in shapes])) == side


@pytest.mark.parametrize("read", [natural_side, lambda data: read_images(data, [0], 16)])
def test_items_that_are_no_images_are_refused(read: Callable[[RawDataset], object]) -> None:
    with pytest.raises(ValueError, match="found text"):
        read(dataset_of([b"words"], "text"))


def test_a_dataset_without_images_has_no_side() -> None:
    with pytest.raises(InputProblem) as caught:
        natural_side(dataset_of([]))
    assert caught.value.code == "empty_dataset"
