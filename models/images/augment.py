"""Random changes of a batch of images, every draw of them from one generator on the CPU.

Images are float (n, 3, height, width) in [0, 1] on any device. A function draws the same numbers
whatever the images are, so that arms of equal seeds see equal shifts.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

OPERATIONS = 2
"""Operations of `randaugment` on each image."""

MAGNITUDE = 9
"""Their strength, of 30: what Cubuk et al. 2020 use for both numbers on ImageNet's ResNet-50."""

COLOR_RANGES = ((0.7, 1.3), (0.6, 1.4), (0.5, 1.5), (-0.5, 0.5))
"""Of `color`: factors of brightness, contrast and saturation, and turns of the hue in multiples of π."""

CAST = 0.2
"""How far `color` brightens or darkens one channel beside the others, at most."""

GREY_SHARE = 0.2
"""Share of images that `color` makes grey."""


def shift_and_flip(
    images: Float[Tensor, "n 3 h w"], share: float, flip: bool, generator: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Return images shifted by up to ``share`` of their sides, edges mirrored, half of them flipped.

    Args:
        images: in [0, 1], or of any other range.
        share: of the side, both ways; 0 shifts none.
        flip: whether to mirror left to right with a probability of one half.
        generator: on the CPU.
    """
    n, _, height, width = images.shape
    rows = _places(n, height, share, generator)
    columns = _places(n, width, share, generator)
    flipped = torch.rand((n, 1), generator=generator) < 0.5
    if flip:
        columns = torch.where(flipped, columns.flip(1), columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    which = torch.arange(n, device=images.device)
    # With the channels last, a gather copies whole pixels.
    pixels = images.permute(0, 2, 3, 1)
    moved = pixels[which[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def cutout(
    images: Float[Tensor, "n 3 h w"], fill: Float[Tensor, "3"], generator: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Return images with one square of half the side painted over (DeVries & Taylor 2017).

    Args:
        images: in [0, 1].
        fill: the mean colour, which is nothing to a network that reads normalised images.
        generator: draws each square's centre, anywhere in the image: it may hang over the edge.
    """
    n, _, height, width = images.shape
    inside = []
    for side in (height, width):
        half = side // 4
        start = torch.randint(side, (n, 1), generator=generator) - half
        place = torch.arange(side)
        inside.append((place >= start) & (place < start + 2 * half))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    colour = fill.to(images)[None, :, None, None]
    return torch.where(hole.to(images.device), colour, images)


def randaugment(
    images: Float[Tensor, "n 3 h w"], generator: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Return images after two operations each, of kornia's fifteen (Cubuk et al. 2020).

    Every image draws its own two, with replacement, as published; kornia's own class draws them for a
    batch. So each operation runs once on all the images that drew it.
    """
    operations = _operations()
    drawn = torch.randint(len(operations), (OPERATIONS, len(images)), generator=generator)
    seed = _seed(generator)
    images = images.clone()
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):  # kornia knows the global generator only
        torch.manual_seed(seed)
        for chosen in drawn:
            for number, operation in enumerate(operations):
                rows = (chosen == number).nonzero().flatten().to(images.device)
                if len(rows):
                    images[rows] = operation(images[rows]).to(images.dtype)
    return images.clamp_(0, 1)


def color(images: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
    """Return images of other colours: brightness, contrast, saturation and hue drawn for each, some grey.

    All of these are affine in a pixel's colour, so an image's are put together into one matrix, which its
    pixels are read through once. Nothing is cut off between two of them, as there would be if one
    followed the other.

    Args:
        images: in [0, 1].
        generator: on the CPU.
    """
    n = len(images)
    low, high = torch.tensor(COLOR_RANGES).T
    drawn = low + (high - low) * torch.rand((n, len(COLOR_RANGES)), generator=generator)
    brightness, contrast, saturation, hue = drawn.T
    grey = torch.rand(n, generator=generator) < GREY_SHARE
    casts = 1 + CAST * (2 * torch.rand((n, 3, 1), generator=generator) - 1)
    matrix = contrast[:, None, None] * _chroma(torch.where(grey, 0, saturation), torch.pi * hue)
    own = images.mean(dim=(1, 2, 3))
    # Contrast is about the mean, which is grey and so unmoved by saturation and hue.
    shift = (brightness[:, None, None] * casts - contrast[:, None, None]).to(own) * own[
        :, None, None
    ]
    # A batch of channels-last images is a batch of pixels by colour without any copy.
    pixels = images.permute(0, 2, 3, 1)
    moved = torch.baddbmm(shift.mT, pixels.flatten(1, 2), matrix.to(own).mT).clamp_(0, 1)
    return moved.reshape(pixels.shape).permute(0, 3, 1, 2)


def _chroma(saturation: Float[Tensor, " n"], hue: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    """Return matrices that leave grey as it is, and turn and stretch what colours have beside it.

    Args:
        saturation: factors.
        hue: angles about the grey axis.
    """
    axis = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    along, across = (saturation * hue.cos())[:, None, None], (saturation * hue.sin())[:, None, None]
    return axis + along * (torch.eye(3) - axis) + across * cross


def cutmix(
    images: Float[Tensor, "n 3 h w"],
    labels: Int[Tensor, " n"],
    n_classes: int,
    alpha: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n k"]]:
    """Return images with a rectangle of another of the batch each, and labels by the pixels' shares.

    Source: Yun et al. 2019, section 3.1. The rectangle has the image's proportions and a share of
    1 - Beta(α, α) of its area; its centre is anywhere, and what hangs over the edge is not counted.

    Args:
        images: in [0, 1].
        labels: class of each, on the images' device.
        n_classes: K.
        alpha: α, above 0.
        generator: on the CPU; draws partners, shares and places.
    """
    n, _, height, width = images.shape
    partner = torch.randperm(n, generator=generator).to(images.device)
    kept = torch.from_numpy(np.random.default_rng(_seed(generator)).beta(alpha, alpha, (n, 1)))
    inside = []
    for side in (height, width):
        half = (side * (1 - kept).sqrt()).long() // 2
        centre = torch.randint(side, (n, 1), generator=generator)
        place = torch.arange(side)
        inside.append((place >= centre - half) & (place < centre + half))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    share = 1 - hole.float().mean(dim=(1, 2, 3)).to(images)
    soft = torch.nn.functional.one_hot(labels, n_classes).to(images.dtype)
    return (
        torch.where(hole.to(images.device), images[partner], images),
        torch.lerp(soft[partner], soft, share[:, None]),
    )


def mixup(
    images: Float[Tensor, "n 3 h w"],
    labels: Int[Tensor, " n"],
    n_classes: int,
    alpha: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n k"]]:
    """Return convex mixes of each image with another of the batch, and of their labels.

    Source: Zhang et al. 2018, section 2; the share is drawn from Beta(α, α) for each pair.

    Args:
        images: in [0, 1].
        labels: class of each, on the images' device.
        n_classes: K.
        alpha: α, above 0.
        generator: on the CPU; draws partners and shares.
    """
    n = len(images)
    partner = torch.randperm(n, generator=generator).to(images.device)
    # torch draws no Beta from a generator of the caller's.
    drawn = np.random.default_rng(_seed(generator)).beta(alpha, alpha, n)
    share = torch.from_numpy(drawn).to(images)
    soft = torch.nn.functional.one_hot(labels, n_classes).to(images.dtype)
    return (
        torch.lerp(images[partner], images, share[:, None, None, None]),
        torch.lerp(soft[partner], soft, share[:, None]),
    )


def _places(n: int, side: int, share: float, generator: torch.Generator) -> Tensor:
    """Return (n, side) the places that each row of pixels is taken from, mirrored at the edges."""
    most = round(share * side)
    shift = torch.randint(-most, most + 1, (n, 1), generator=generator)
    place = (torch.arange(side) + shift).abs()
    return (side - 1) - ((side - 1) - place).abs()


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator))


@cache
def _operations() -> list[Any]:
    """Return kornia's RandAugment of each of its operations alone."""
    # Two seconds to import, which only those who want it wait for.
    from kornia.augmentation.auto import RandAugment  # noqa: PLC0415
    from kornia.augmentation.auto.rand_augment.rand_augment import default_policy  # noqa: PLC0415

    return [RandAugment(n=1, m=MAGNITUDE, policy=[one]) for one in default_policy]
