"""From codes to images: a convolutional decoder for 16 to 256 pixels, and the auxiliary classifier."""

import itertools
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.glico.spec import DecoderSpec

NOISE_DIM = 100
NOISE_STD = 0.15
_COARSEST = 4
_WIDEST = 16
_GROUPS = 8


class Decoder(nn.Module):
    """A linear layer to maps of 4 × 4 or 6 × 6, then one block for each doubling, then RGB in [0, 1].

    Normalisation is over groups of channels of one image: what an image looks like does not depend
    on which others are made beside it, in training or afterwards.
    """

    def __init__(self, spec: DecoderSpec, side: int, n_classes: int) -> None:
        super().__init__()
        self.spec, self.side = spec, side
        self.noise = nn.Linear(NOISE_DIM, spec.code_dim) if spec.noise else None
        self.classes = nn.Embedding(n_classes, spec.code_dim) if spec.conditioned else None
        parts = 1 + spec.noise + spec.conditioned
        doublings = int(math.log2(side // _COARSEST))
        self._coarsest = side >> doublings  # 6 for 96 pixels, else 4
        widths = [
            spec.width * min(_WIDEST, 2 ** max(0, doublings - 1 - level))
            for level in range(doublings)
        ]
        widths = [widths[0], *widths]
        self.widths = widths
        self.project = nn.Linear(parts * spec.code_dim, widths[0] * self._coarsest**2)
        blocks = itertools.pairwise(widths)
        self.blocks = nn.Sequential(*(_block(a, b, spec.upsampling) for a, b in blocks))
        self.to_rgb = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(
        self,
        z: Float[Tensor, "n d"],
        labels: Int[Tensor, " n"],
        noise: Float[Tensor, "n e"] | None = None,
    ) -> Float[Tensor, "n 3 side side"]:
        """Return images in [0, 1].

        Args:
            z: codes.
            labels: classes, which matter to a conditioned decoder alone.
            noise: ε of N(0, 1); a decoder that has noise takes none given as zero.
        """
        parts = [z]
        if self.noise is not None:
            absent = z.new_zeros(len(z), NOISE_DIM)
            parts.append(self.noise(NOISE_STD * (absent if noise is None else noise)))
        if self.classes is not None:
            parts.append(self.classes(labels))
        maps = self.project(torch.cat(parts, dim=1)).unflatten(
            1, (self.widths[0], self._coarsest, self._coarsest)
        )
        found: Tensor = torch.sigmoid(self.to_rgb(self.blocks(maps)))
        return found


def _block(wide: int, narrow: int, upsampling: str) -> nn.Sequential:
    if upsampling == "transposed":
        doubled: list[nn.Module] = [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1)]
    else:
        doubled = [
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(wide, narrow, 3, padding=1),
        ]
    return nn.Sequential(*doubled, nn.GroupNorm(_groups(narrow), narrow), nn.LeakyReLU(0.2))


def _groups(channels: int) -> int:
    """Return the largest divisor of ``channels`` up to 8."""
    return next(n for n in range(min(_GROUPS, channels), 0, -1) if channels % n == 0)


class Auxiliary(nn.Module):
    """A small classifier of reconstructions; it gives logits, to which cross-entropy is applied."""

    def __init__(self, n_classes: int, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, 4 * width),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * width, n_classes),
        )

    def forward(self, images: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n k"]:
        """Return logits of images in [0, 1]."""
        found: Tensor = self.body(2 * images - 1)
        return found
