"""How near images come to training images, pixel by pixel."""

import numpy as np
import pytest

from models.images.novelty import nearest_distances, nearest_ratio


def noise(seed: int, n: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_distances_are_those_to_the_nearest_of_many() -> None:
    train, images = noise(0, 5000), noise(1, 3)
    wide = train.reshape(5000, -1).astype(float)
    expected = [np.linalg.norm(wide - one.reshape(-1), axis=1).min() for one in images]
    np.testing.assert_allclose(nearest_distances(images, train), expected)


def test_copies_have_no_distance_and_others_are_measured_by_held_out_ones() -> None:
    train, held_out = noise(0, 40), noise(1, 40)
    assert nearest_ratio(train[:9], held_out, train) == 0
    ratio = nearest_ratio(noise(2, 40), held_out, train)
    assert ratio == pytest.approx(1, abs=0.1)


def test_large_images_are_compared_by_means_of_blocks() -> None:
    train, one = noise(0, 3, 64), noise(1, 1, 64)
    blocks = lambda x: x.reshape(-1, 32, 2, 32, 2, 3).mean(axis=(2, 4)).reshape(len(x), -1)  # noqa: E731
    expected = np.linalg.norm(blocks(train) - blocks(one), axis=1).min()
    assert nearest_distances(one, train)[0] == pytest.approx(expected)


def test_where_there_is_nothing_to_compare_nothing_is_said() -> None:
    train = noise(0, 4)
    assert nearest_ratio(train[:0], train, train) is None
    assert nearest_ratio(noise(1, 2), train, train) is None
