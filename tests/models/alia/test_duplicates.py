"""Which images are as good as one."""

import numpy as np
import pytest

from models.alia import duplicates


def noise(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def test_copies_are_means_of_what_they_cover_whatever_the_size() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    small, wide, same = duplicates.small([fine, np.full((7, 90, 3), 5, np.uint8), fine[:32, :32]])
    blocks = fine.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - blocks).max() <= 1  # Pillow rounds after each axis
    assert (wide == 5).all()
    np.testing.assert_array_equal(same, fine[:32, :32])
    assert duplicates.small([]).shape == (0, 32, 32, 3)


def test_the_distance_is_a_root_mean_square_in_values_of_0_to_1() -> None:
    black, white = np.zeros((1, 32, 32, 3), np.uint8), np.full((1, 32, 32, 3), 255, np.uint8)
    assert duplicates.distance(black, white).tolist() == [1]
    assert duplicates.distance(black, black + 51).tolist() == pytest.approx([0.2])
    half = black.copy()
    half[0, :16] = 255
    assert duplicates.distance(black, half).tolist() == pytest.approx([np.sqrt(0.5)])


def test_twins_are_the_pairs_that_a_comparison_one_by_one_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicates, "_AT_ONCE", 4)  # pairs within blocks, and between them
    edits = noise(0, 11)
    edits[5], edits[9], edits[10] = edits[2], edits[0], edits[2]
    edits[7] = np.clip(edits[6].astype(int) + 5, 0, 255)
    alone = [
        (one, other)
        for other in range(11)
        for one in range(other)
        if duplicates.distance(edits[one, None], edits[other, None])[0] < 0.02
    ]
    assert alone == [(2, 5), (6, 7), (0, 9), (2, 10), (5, 10)]
    assert list(map(tuple, duplicates.twins(edits, 0.02).tolist())) == alone
    assert duplicates.twins(edits, 0.02, since=9).tolist() == [[0, 9], [2, 10], [5, 10]]


def test_a_pair_as_far_apart_as_the_distance_is_none() -> None:
    edits = noise(0, 2)
    edits[1] = edits[0]
    edits[1, 0, 0, 0] ^= 128
    apart = duplicates.distance(edits[:1], edits[1:])[0]
    assert duplicates.twins(edits, apart).tolist() == []
    assert duplicates.twins(edits, np.nextafter(apart, 1)).tolist() == [[0, 1]]


def test_equal_images_are_twins_within_the_least_distance() -> None:
    edits = noise(3, 1)[[0, 0, 0]]
    assert duplicates.twins(edits, 1e-12).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert duplicates.twins(edits[:0], 0.02).shape == (0, 2)


def test_images_whose_blocks_have_equal_means_are_told_apart_by_their_pixels() -> None:
    one = noise(4, 1)
    other = one.reshape(1, 8, 4, 8, 4, 3)[:, :, ::-1].reshape(one.shape)
    assert duplicates.twins(np.concatenate([one, other]), 0.02).tolist() == []


def test_pairs_are_measured_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_AT_ONCE", 3)
    assert len(duplicates.twins(noise(5, 1)[np.zeros(7, int)], 0.02)) == 21
