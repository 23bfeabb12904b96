"""Augmentation of batches: what stays, what moves, and that one generator decides it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.images.augment import color, cutmix, cutout, mixup, randaugment, shift_and_flip

GREY = torch.tensor([0.5, 0.4, 0.3])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(n: int = 64, side: int = 12) -> Tensor:
    return torch.rand(n, 3, side, side, generator=seeded(9))


AUGMENTATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "shift_and_flip": lambda images, generator: shift_and_flip(images, 0.25, True, generator),
    "cutout": lambda images, generator: cutout(images, GREY, generator),
    "randaugment": randaugment,
    "color": color,
    "cutmix": lambda images, generator: cutmix(
        images, torch.zeros(len(images), dtype=torch.int64), 2, 1.0, generator
    )[0],
    "mixup": lambda images, generator: mixup(
        images, torch.zeros(len(images), dtype=torch.int64), 2, 1.0, generator
    )[0],
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_generator_alone_decides(name: str) -> None:
    images, before = images_of(), images_of()
    augment = AUGMENTATIONS[name]
    torch.manual_seed(1)
    first = augment(images, seeded())
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(first, augment(images, seeded()))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, augment(images, seeded(1)))
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_keep_shape_and_range(name: str) -> None:
    images = images_of()
    found = AUGMENTATIONS[name](images, seeded())
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_image_draws_for_itself(name: str) -> None:
    alike = images_of(1).expand(64, -1, -1, -1)
    if name in ("mixup", "cutmix"):  # of equal images a mix is the image
        alike = alike + torch.linspace(0, 0.1, 64)[:, None, None, None]
    found = AUGMENTATIONS[name](alike, seeded())
    assert len({tuple(image.flatten().tolist()) for image in found}) > 10


def test_a_shift_mirrors_the_edge() -> None:
    ramp = torch.arange(8.0).expand(200, 3, 8, 8)  # a column's number in each pixel
    found = shift_and_flip(ramp, 0.25, False, seeded())
    rows = {tuple(image[0, 0].int().tolist()) for image in found}
    assert rows == {
        (2, 1, 0, 1, 2, 3, 4, 5),
        (1, 0, 1, 2, 3, 4, 5, 6),
        (0, 1, 2, 3, 4, 5, 6, 7),
        (1, 2, 3, 4, 5, 6, 7, 6),
        (2, 3, 4, 5, 6, 7, 6, 5),
    }


def test_half_are_flipped_where_that_is_allowed() -> None:
    images = images_of(400)
    found = shift_and_flip(images, 0.0, True, seeded())
    flipped = (found == images.flip(3)).flatten(1).all(dim=1)
    kept = (found == images).flatten(1).all(dim=1)
    assert (flipped ^ kept).all()
    assert 150 < flipped.sum() < 250
    assert torch.equal(shift_and_flip(images, 0.0, False, seeded()), images)


def test_shifts_are_the_same_whether_flips_are_allowed_or_not() -> None:
    even = torch.rand(50, 3, 12, 1, generator=seeded()).expand(-1, -1, -1, 12)
    shifted = shift_and_flip(even, 0.25, False, seeded())
    assert torch.equal(shifted, shift_and_flip(even, 0.25, True, seeded()))
    assert not torch.equal(shifted, even)


def test_cutout_paints_one_square_of_half_the_side_in_the_given_colour() -> None:
    images = images_of(300)
    found = cutout(images, GREY, seeded())
    holes = (found != images).any(dim=1)
    assert torch.equal(found.permute(0, 2, 3, 1)[holes], GREY.expand(int(holes.sum()), 3))
    assert torch.equal(torch.where(holes[:, None], images, found), images)
    tall, wide = holes.any(dim=2).sum(dim=1), holes.any(dim=1).sum(dim=1)
    assert torch.equal(tall * wide, holes.sum(dim=(1, 2)))  # a rectangle
    assert tall.max() == wide.max() == 6
    assert tall.min() == 3  # it hangs over the edge where its centre is a corner


def test_randaugment_gives_images_of_one_batch_different_operations() -> None:
    alike = images_of(1).expand(64, -1, -1, -1)
    found = randaugment(alike, seeded())
    changes = {round(float((image - alike[0]).abs().mean()), 2) for image in found}
    assert len(changes) > 5


def test_mixup_mixes_images_and_labels_in_the_same_shares() -> None:
    labels = torch.arange(64) % 4
    # Each image is its own label: one channel's brightness a class.
    images = torch.nn.functional.one_hot(labels, 4)[:, :3, None, None].float().expand(-1, -1, 5, 5)
    mixed, soft = mixup(images, labels, 4, 1.0, seeded())
    assert torch.allclose(soft.sum(dim=1), torch.ones(64))
    assert torch.allclose(mixed.mean(dim=(2, 3)), soft[:, :3], atol=1e-6)
    assert ((soft > 0.05).sum(dim=1) == 2).any()


def test_a_small_alpha_hardly_mixes() -> None:
    labels = torch.arange(200) % 2
    for alpha, few in ((0.01, True), (1.0, False)):
        _, soft = mixup(images_of(200, 2), labels, 2, alpha, seeded())
        mixed = ((soft > 0.02) & (soft < 0.98)).any(dim=1).float().mean()
        assert bool(mixed < 0.1) is few


def test_color_leaves_grey_images_of_one_brightness_without_pattern() -> None:
    flat = torch.full((50, 3, 6, 6), 0.4)
    found = color(flat, seeded())
    assert torch.allclose(found, found[:, :, :1, :1].expand_as(found), atol=1e-6)
    levels = found[:, :, 0, 0]
    assert levels.min() >= 0.4 * 0.7 * 0.8 - 1e-6
    assert levels.max() <= 0.4 * 1.3 * 1.2 + 1e-6
    assert levels.mean(dim=1).std() > 0.02


def test_color_changes_each_image_by_one_affine_map_of_its_colours() -> None:
    images = 0.45 + 0.1 * images_of(30, 8)  # so that nothing is cut off at 0 and 1
    found = color(images, seeded())
    inside = ((found > 0) & (found < 1)).flatten(1).all(dim=1)
    assert inside.sum() > 20
    ones = torch.ones(64, 1)
    for before, after in zip(images[inside], found[inside], strict=True):
        known = torch.cat([before.flatten(1).T, ones], dim=1).double()
        fit = torch.linalg.lstsq(known, after.flatten(1).T.double()).solution
        assert torch.allclose((known @ fit).float(), after.flatten(1).T, atol=1e-4)


def test_color_makes_a_fifth_grey_and_turns_the_hue_of_others_both_ways() -> None:
    red = torch.tensor([0.6, 0.4, 0.4])[:, None, None] * torch.linspace(0.9, 1.1, 36).view(6, 6)
    found = color(red.expand(1000, -1, -1, -1), seeded())
    # A cast is the same on all of an image; what is left of its colour varies with its brightness.
    spread = found - found.mean(dim=(2, 3), keepdim=True)
    grey = ((spread - spread[:, :1]).abs() < 1e-5).flatten(1).all(dim=1)
    assert 150 < grey.sum() < 250
    strongest = spread[~grey, :, -1, -1].argmax(dim=1)
    assert set(strongest.tolist()) == {0, 1, 2}
    assert (strongest == 0).float().mean() < 0.9


def test_cutmix_exchanges_one_rectangle_and_the_labels_by_its_share() -> None:
    labels = torch.arange(400) % 4
    images = torch.nn.functional.one_hot(labels, 4)[:, :3, None, None].float()
    mixed, soft = cutmix(images.expand(-1, -1, 12, 12), labels, 4, 1.0, seeded())
    assert torch.allclose(soft.sum(dim=1), torch.ones(400))
    assert torch.allclose(mixed.mean(dim=(2, 3)), soft[:, :3], atol=1e-6)
    assert set(mixed.unique().tolist()) == {0.0, 1.0}  # exchanged, not blended
    other = (mixed != images).any(dim=1)
    tall, wide = other.any(dim=2).sum(dim=1), other.any(dim=1).sum(dim=1)
    assert torch.equal(tall * wide, other.sum(dim=(1, 2)))  # a rectangle
    whole = other[:, 0] | other[:, -1] | other[:, :, 0] | other[:, :, -1]
    assert whole.any()  # some reach the edge
    assert 0.2 < other.float().mean() < 0.5
