"""How far a reconstruction is from its image."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two batches of images in [0, 1] to one number, the mean over the batch."""

_LEVELS = 3


def laplacian(
    a: Float[Tensor, "n 3 side side"], b: Float[Tensor, "n 3 side side"], levels: int = _LEVELS
) -> Float[Tensor, ""]:
    """Return the L1 distance of Laplacian pyramids (Bojanowski et al. 2018, section 3.2).

    Each level counts by its mean, so that coarse structure, of which there are few values, is worth
    as much as fine.
    """
    difference = a - b  # a pyramid is linear: that of the difference is the difference of both
    total = difference.new_zeros(())
    for _ in range(levels):
        if difference.shape[-1] <= 2:
            break
        coarse = functional.avg_pool2d(difference, 2)
        fine = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        total = total + (difference - fine).abs().mean()
        difference = coarse
    return total + difference.abs().mean()


def with_perception(features: Callable[[Tensor], list[Tensor]]) -> Distance:
    """Return pixel L1 plus L1 of a network's feature maps, each level by its mean.

    Above 64 pixels a copy pooled four times is compared as well, for what is larger than the maps'
    field of view.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        total = (a - b).abs().mean()
        pairs = [(a, b)]
        if a.shape[-1] > 64:
            pairs.append((functional.avg_pool2d(a, 4), functional.avg_pool2d(b, 4)))
        for ours, theirs in pairs:
            with torch.no_grad():
                wanted = features(theirs)
            for found, level in zip(features(ours), wanted, strict=True):
                total = total + (found - level).abs().mean()
        return total

    return distance
