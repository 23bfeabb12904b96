"""How many images are edited at once where nobody says."""

import pytest

from models.alia.editing.batching import MOST, automatic

GIB = 1 << 30


def test_small_images_on_a_processor_are_edited_together_and_large_ones_alone() -> None:
    assert [automatic(side, "cpu") for side in (32, 64, 128, 512, 1024)] == [MOST, 64, 16, 1, 1]


@pytest.mark.parametrize(
    ("free", "expected"), [(2 * GIB, 1), (8 * GIB, 2), (24 * GIB, 8), (80 * GIB, 16)]
)
def test_half_of_what_is_free_on_a_device_decides(free: int, expected: int) -> None:
    assert automatic(512, "cuda", free) == expected


def test_every_batch_is_a_power_of_two() -> None:
    for free in range(0, 100 * GIB, 3 * GIB):
        batch = automatic(512, "cuda", free)
        assert 1 <= batch <= MOST
        assert batch & (batch - 1) == 0
