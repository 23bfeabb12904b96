"""Residual networks for small images, trained from scratch.

Blocks are pre-activated in both families (He et al. 2016, Identity Mappings in Deep Residual Networks):
a wide residual network is defined so, and a `resnet` of the same depth trains no worse that way.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from models.images.spec import ImageClassifierSpec

WIDE_STEM = 16
"""Channels of the stem of a wide residual network, whatever its widening."""

SMALL_SIDE = 32
"""Side, in pixels, that the strides of the three stages are made for: the last is 8 × 8 then."""


class Block(nn.Module):
    """x + conv(conv(x)), each convolution behind BatchNorm and ReLU; 1 × 1 where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm_1 = nn.BatchNorm2d(channels)
        self.conv_1 = _conv(channels, width, stride=stride)
        self.norm_2 = nn.BatchNorm2d(width)
        self.conv_2 = _conv(width, width)
        self.shortcut: nn.Conv2d | None = None
        if channels != width or stride != 1:
            self.shortcut = _conv(channels, width, stride=stride, kernel=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d p q"]:
        h = functional.relu_(self.norm_1(x))
        kept = x if self.shortcut is None else self.shortcut(h)
        found: Tensor = kept + self.conv_2(functional.relu_(self.norm_2(self.conv_1(h))))
        return found


class ImageNetwork(nn.Module, ABC):
    """Normalised images to logits, by a linear layer on features.

    Attributes:
        dim: values of what `features` gives.
        linear: the last layer.
        config: what a network that is not of this module is rebuilt from, as JSON.
    """

    config: dict[str, Any] | None = None
    dim: int
    linear: nn.Linear

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Return float (n, dim) of float (n, 3, side, side) images, normalised by the caller."""

    def forward(self, x: Tensor) -> Tensor:
        """Return float (n, classes) logits of such images."""
        logits: Tensor = self.linear(self.features(x))
        return logits


class ResidualNetwork(ImageNetwork):
    """A stem, three stages of equal length that halve the side between them, and a linear layer."""

    def __init__(
        self, stem: int, widths: Sequence[int], blocks: int, halvings: int, n_classes: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, stem, stride=2 if halvings else 1))
        for _ in range(halvings - 1):
            self.stem += nn.Sequential(
                nn.BatchNorm2d(stem), nn.ReLU(inplace=True), _conv(stem, stem, stride=2)
            )
        self.blocks, channels = nn.Sequential(), stem
        for stage, width in enumerate(widths):
            for block in range(blocks):
                first_of_later = stage > 0 and block == 0
                self.blocks.append(Block(channels, width, stride=2 if first_of_later else 1))
                channels = width
        self.norm = nn.BatchNorm2d(channels)
        self.dim = channels
        self.linear = nn.Linear(channels, n_classes)
        nn.init.zeros_(self.linear.bias)

    def features(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Return the mean over the last stage's places, below the linear layer."""
        h = functional.relu_(self.norm(self.blocks(self.stem(x))))
        return h.mean(dim=(2, 3))


def make_network(spec: ImageClassifierSpec, n_classes: int, side: int) -> ResidualNetwork:
    """Return ``spec.network`` for square images, with weights by the global generator.

    It takes float (n, 3, side, side), normalised by its caller, and gives logits; `features` gives
    what its last linear layer reads. Sides from 64 pixels on are halved at the stem until they are
    below 64, so that the last stage is 8 × 8 to 12 × 12; at 16 pixels it is 4 × 4.
    """
    kind, depth, *widening = spec.network.split("-")
    halvings = max(0, math.floor(math.log2(side / SMALL_SIDE)))
    if kind == "wrn":
        widths = [int(widening[0]) * WIDE_STEM * 2**stage for stage in range(3)]
        return ResidualNetwork(WIDE_STEM, widths, (int(depth) - 4) // 6, halvings, n_classes)
    widths = [spec.width * 2**stage for stage in range(3)]
    return ResidualNetwork(spec.width, widths, (int(depth) - 2) // 6, halvings, n_classes)


def _conv(channels: int, width: int, *, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    """Return a convolution without bias, which a BatchNorm follows; Kaiming's initial weights."""
    conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
