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
