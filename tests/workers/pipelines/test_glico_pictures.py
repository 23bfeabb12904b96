"""Pictures of a GLICO report show what they say they show."""

import io

import numpy as np
import pytest
from PIL import Image

from models.glico.generator import Generator
from models.glico.spec import InterpolationSpec
from tests.models.glico.conftest import generator
from workers.pipelines.glico_pictures import PATH_PLACES, evenly, nearest, path, paths, samples
from workers.pipelines.image_parts import ImagePart
from workers.pipelines.image_shards import Shard

__all__ = ["generator"]


@pytest.fixture
def real(generator: Generator) -> ImagePart:
    y = generator.members.y.numpy()
    rows = np.arange(len(y))
    images = np.stack([(255 * one).round() for one in generator.originals(rows).numpy()])
    return ImagePart(images.transpose(0, 2, 3, 1).astype(np.uint8), y, rows)


def test_a_path_with_residuals_ends_in_the_training_images_themselves(
    generator: Generator,
    real: ImagePart,
) -> None:
    shown = path(generator, InterpolationSpec(), 0, 3)
    assert shown.shape == (PATH_PLACES, 16, 16, 3)
    for place, row in ((0, 0), (-1, 3)):
        apart = np.abs(shown[place].astype(int) - real.x[row])
        assert apart.max() <= 1, "but for rounding"
    plain = path(generator, InterpolationSpec(residuals=False), 0, 3)
    assert np.abs(plain[0].astype(int) - real.x[0]).max() > 1


def test_paths_are_of_classes_that_have_two_images(
    generator: Generator,
    real: ImagePart,
) -> None:
    told = 0

    def tell() -> None:
        nonlocal told
        told += 1

    found = paths(generator, InterpolationSpec(path="none"), real, tell)
    assert told == 2, "of four classes one has a single image, and one none"
    with Image.open(io.BytesIO(found.png)) as picture:
        assert picture.width > (PATH_PLACES + 2) * 48
    assert "along the sphere" in found.caption


def test_a_sheet_without_samples_is_none(real: ImagePart) -> None:
    assert samples([], ["a"], real, lambda: None) is None


def test_a_class_with_fewer_samples_than_places_leaves_them_empty(real: ImagePart) -> None:
    parents, weights = np.array([[0, 1]]), np.float32([[0.5, 0.5]])
    shard = Shard(real.x[:1], np.array([0]), np.array([0]), parents, weights)
    found = samples([shard], ["stripes"], real, lambda: None)
    assert found is not None
    with Image.open(io.BytesIO(found.png)) as picture:
        pixels = np.asarray(picture)
    assert (pixels[:, pixels.shape[1] // 2 :] == 255).all(), "the right half is empty"


def test_the_nearest_image_is_found_beyond_the_first_block() -> None:
    among = np.random.default_rng(0).integers(0, 256, (1500, 4, 4, 3), dtype=np.uint8)
    assert nearest(among[1234], among) == 1234
    assert nearest(among[3], np.concatenate([among, among])) == 3


@pytest.mark.parametrize(
    ("values", "most", "expected"),
    [([1, 2, 3], 8, [1, 2, 3]), (list(range(11)), 3, [0, 5, 10]), ([], 4, []), ([7, 8], 1, [7])],
)
def test_some_of_many_are_taken_evenly(values: list[int], most: int, expected: list[int]) -> None:
    assert evenly(values, most) == expected
