"""The adapter's residual MLP blocks, whose intermediate states are the latents Z^(1), Z^(2), …"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class AdapterBlock(nn.Module):
    """z + W₂ SiLU(W₁ LayerNorm(z)); W₂ starts at zero, so that a new block is the identity."""

    def __init__(self, dim: int, width: int, p: float = 0.0) -> None:
        super().__init__()
        # Made without weights: nn.Linear would draw them from the global generator.
        self.into = nn.Linear(dim, width, device="meta").to_empty(device="cpu")
        self.out = nn.Linear(width, dim, device="meta").to_empty(device="cpu")
        self.p = p

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights from ``generator`` alone."""
        nn.init.kaiming_normal_(self.into.weight, nonlinearity="relu", generator=generator)
        for tensor in (self.into.bias, self.out.weight, self.out.bias):
            nn.init.zeros_(tensor)

    def forward(
        self, z: Float[Tensor, "n dim"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "n dim"]:
        """Return the next state; ``generator`` draws the dropout, in training only."""
        h = functional.silu(self.into(functional.layer_norm(z, z.shape[-1:])))
        if generator is not None and self.p > 0:
            h = h * torch.empty_like(h).bernoulli_(1 - self.p, generator=generator) / (1 - self.p)
        y: Tensor = z + self.out(h)
        return y
