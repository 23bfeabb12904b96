"""The denoiser that others use on latents: a 1-D U-Net, and DDPM around it. A rival, for speed.

A latent is taken as a sequence of one channel: base width 64, multipliers 1, 2, 4, 8, attention at
the lowest level (Ho, Jain & Abbeel 2020, *Denoising Diffusion Probabilistic Models*, appendix B, with
convolutions along one axis). Time and class are embedded, added, and scale and shift the features of
each block. diffusers' `UNet1DModel` has no place for a class, so this one is written out.
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

BASE = 64
MULTIPLIERS = (1, 2, 4, 8)
HEADS = 4
GROUPS = 8


class ResidualBlock(nn.Module):
    """Two convolutions with a shortcut; the condition scales and shifts what lies between."""

    def __init__(self, channels: int, out_channels: int, condition: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(GROUPS, channels)
        self.into = nn.Conv1d(channels, out_channels, 3, padding=1)
        self.modulate = nn.Linear(condition, 2 * out_channels)
        self.norm_out = nn.GroupNorm(GROUPS, out_channels)
        self.out = nn.Conv1d(out_channels, out_channels, 3, padding=1)
        same = channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv1d(channels, out_channels, 1)

    def forward(
        self, h: Float[Tensor, "n channels length"], c: Float[Tensor, "n condition"]
    ) -> Float[Tensor, "n out length"]:
        y = self.into(functional.silu(self.norm_in(h)))
        scale, shift = self.modulate(c)[:, :, None].chunk(2, dim=1)
        y = self.norm_out(y) * (1 + scale) + shift
        z: Tensor = self.out(functional.silu(y)) + self.shortcut(h)
        return z


class Attention(nn.Module):
    """Self-attention along the sequence, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.into = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, h: Float[Tensor, "n channels length"]) -> Float[Tensor, "n channels length"]:
        n, channels, length = h.shape
        heads = self.into(self.norm(h)).view(n, 3, HEADS, channels // HEADS, length)
        q, k, v = heads.transpose(-1, -2).unbind(1)
        y = functional.scaled_dot_product_attention(q, k, v)
        y = y.transpose(-1, -2).reshape(n, channels, length)
        return h + self.out(y)  # type: ignore[no-any-return]


class UNet1d(nn.Module):
    """ε(x, t, y) for latents of any number of dimensions.

    Args:
        n_classes: classes that y counts.
        blocks: residual blocks of each level, on the way down and on the way up.
        base: channels of the first level.
        multipliers: channels of each level, in multiples of the first; each halves the length.
    """

    def __init__(
        self,
        n_classes: int,
        *,
        blocks: int = 1,
        base: int = BASE,
        multipliers: tuple[int, ...] = MULTIPLIERS,
    ) -> None:
        super().__init__()
        self.base = base
        self.halvings = len(multipliers) - 1
        condition = 4 * base
        self.time = nn.Sequential(
            nn.Linear(base, condition), nn.SiLU(), nn.Linear(condition, condition)
        )
        self.classes = nn.Embedding(n_classes, condition)
        widths = [base * multiplier for multiplier in multipliers]
        low = widths[-1]
        self.into = nn.Conv1d(1, base, 3, padding=1)
        self.down = nn.ModuleList(
            _blocks(blocks, before, width, condition) for before, width in pairwise([base, *widths])
        )
        self.shrink = nn.ModuleList(nn.Conv1d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.middle = _blocks(2, low, low, condition)
        self.attention = Attention(low)
        wider = [*widths[1:], low]
        self.up = nn.ModuleList(
            _blocks(blocks, above + width, width, condition)
            for above, width in zip(wider[::-1], widths[::-1], strict=True)
        )
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, base), nn.SiLU(), nn.Conv1d(base, 1, 3, padding=1)
        )

    def forward(
        self, x: Float[Tensor, "n dim"], t: Int[Tensor, " n"], y: Int[Tensor, " n"]
    ) -> Float[Tensor, "n dim"]:
        """Return the noise in ``x``.

        Args:
            x: noised latents.
            t: steps from 0 to 999.
            y: classes.
        """
        dim = x.shape[1]
        # Zeros at the end where the length cannot be halved as often as there are levels.
        h = functional.pad(x, (0, -dim % 2**self.halvings))[:, None]
        c = functional.silu(self.time(step_features(t, self.base)) + self.classes(y))
        h = self.into(h)
        kept: list[Tensor] = []
        for level, stack in enumerate(self.down):
            h = _through(stack, h, c)
            kept.append(h)
            if level < self.halvings:
                h = self.shrink[level](h)
        h = self.middle[0](h, c)
        h = self.middle[1](self.attention(h), c)
        for level, stack in enumerate(self.up):
            if level:
                h = functional.interpolate(h, scale_factor=2)
            h = _through(stack, torch.cat([h, kept.pop()], dim=1), c)
        eps: Tensor = self.out(h)[:, 0, :dim]
        return eps


def step_features(t: Int[Tensor, " n"], width: int) -> Float[Tensor, "n width"]:
    """Return sines and cosines of the step, at frequencies from 1 to 1/10,000 (Vaswani et al. 2017)."""
    half = width // 2
    exponents = torch.arange(half, device=t.device, dtype=torch.float32) / (half - 1)
    angles = t[:, None].float() * torch.exp(-math.log(10_000.0) * exponents)[None, :]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def _blocks(number: int, channels: int, out_channels: int, condition: int) -> nn.ModuleList:
    before = [channels] + [out_channels] * (number - 1)
    return nn.ModuleList(ResidualBlock(n, out_channels, condition) for n in before)


def _through(stack: nn.Module, h: Tensor, c: Tensor) -> Tensor:
    for block in stack.children():
        h = block(h, c)
    return h
