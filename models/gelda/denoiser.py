"""The network F: a residual MLP whose blocks are modulated by time and condition (adaLN-Zero).

Peebles & Xie 2023, *Scalable Diffusion Models with Transformers*, section 3.2 (adaLN-Zero); the
shape of the blocks is that of MAR's diffusion head (Li et al. 2024, section 4.2).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional

TIME_FEATURES = 128
"""Sines and cosines that describe t."""


def time_features(t: Float[Tensor, " n"]) -> Float[Tensor, "n features"]:
    """Return sines and cosines of t in [0, 1], at frequencies from 1 to 1,000 rad (DiT's, rescaled)."""
    half = TIME_FEATURES // 2
    exponents = torch.arange(half, device=t.device, dtype=torch.float32) / (half - 1)
    angles = t[:, None] * torch.exp(math.log(1000.0) * exponents)[None, :]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def dropout(x: Tensor, p: float, generator: Generator | None) -> Tensor:
    """Drop entries of ``x`` with probability ``p`` by ``generator``; without one, return ``x``.

    Not `nn.Dropout`, which draws from the global generator and so cannot be resumed exactly.
    """
    if generator is None or p == 0:
        return x
    keep = torch.empty_like(x).bernoulli_(1 - p, generator=generator)
    return x * keep / (1 - p)


class Block(nn.Module):
    """x + gate · MLP(modulated LayerNorm(x))."""

    def __init__(self, width: int, p: float) -> None:
        super().__init__()
        self.into = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.p = p

    def forward(
        self,
        h: Float[Tensor, "n width"],
        modulation: tuple[Tensor, Tensor, Tensor],
        generator: Generator | None,
    ) -> Float[Tensor, "n width"]:
        shift, scale, gate = modulation
        y = functional.layer_norm(h, h.shape[-1:])
        y = torch.addcmul(shift, y, scale)
        y = dropout(functional.silu(self.into(y)), self.p, generator)
        return torch.addcmul(h, gate, self.out(y))


class Denoiser(nn.Module):
    """F(x, t, u), with the condition already embedded to ``width``.

    Args:
        dim: dimensions of a latent.
        width: units a layer.
        blocks: residual blocks.
        p: dropout inside the blocks, active only where a generator is passed.
    """

    def __init__(self, dim: int, width: int, blocks: int, p: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.into = nn.Linear(dim, width)
        self.time = nn.Sequential(
            nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        # One matrix for the modulation of all blocks: one product a call instead of one a block.
        self.modulate = nn.Linear(width, (3 * blocks + 2) * width)
        self.blocks = nn.ModuleList(Block(width, p) for _ in range(blocks))
        self.out = nn.Linear(width, dim)
        for layer in (self.modulate, self.out):  # the "Zero": every block starts as the identity
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        x: Float[Tensor, "n dim"],
        t: Float[Tensor, " conditions"],
        u: Float[Tensor, "conditions width"],
        rows: Int[Tensor, " n"] | None = None,
        generator: Generator | None = None,
    ) -> Float[Tensor, "n dim"]:
        """Return F for each row of ``x``.

        Args:
            x: noised latents, scaled to unit variance.
            t: times in [0, 1], one a condition.
            u: embedded conditions.
            rows: which of the conditions belongs to each row of ``x``; by default one a row, in
                order. While sampling, rows share their conditions: modulation, the larger half of
                the work, is then computed once a condition.
            generator: draws the dropout; pass it in training only.
        """
        c = functional.silu(self.time(time_features(t)) + u)
        shape = (len(c), -1, self.width)
        parts = self.modulate(c).view(shape)
        if rows is not None:
            parts = parts[rows]
        parts = parts.unbind(1)
        h = self.into(x)
        for i, block in enumerate(self.blocks):
            shift, scale, gate = parts[3 * i : 3 * i + 3]
            h = block(h, (shift, 1 + scale, gate), generator)
        shift, scale = parts[-2:]
        h = torch.addcmul(shift, functional.layer_norm(h, h.shape[-1:]), 1 + scale)
        y: Tensor = self.out(h)
        return y
