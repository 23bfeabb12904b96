"""Rectified flow: x_t = (1 − t) x_0 + t ε, and the velocity v = ε − x_0 that a network learns.

Liu, Gong & Liu 2023, *Flow Straight and Fast*, equation 1, with time running from data (t = 0) to
noise (t = 1); logit-normal time from Esser et al. 2024, section 3.1; preconditioning after Karras
et al. 2022 (EDM), equation 7 and appendix B.6, derived here for this path.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

Network = Callable[[Tensor, Tensor], Tensor]
"""F(c_in · x, t) → a tensor like x."""


def logit_normal_time(n: int, generator: Generator) -> Float[Tensor, " n"]:
    """Return n times in (0, 1): the logistic function of a standard normal (Esser et al., eq. 19)."""
    return torch.sigmoid(torch.randn(n, generator=generator, device=generator.device))


def velocity(
    network: Network, x: Float[Tensor, "n dim"], t: Float[Tensor, "n 1"] | Float[Tensor, ""]
) -> Float[Tensor, "n dim"]:
    """Return v(x, t) = c_skip x + c_out F(c_in x, t).

    c_skip is the exact answer for data that are N(0, I), which latents nearly are after
    preprocessing. With s(t) = (1 − t)² + t² = Var x_t it follows that E[v | x_t] = (2t − 1)/s · x_t,
    and what is left has variance 2 − (2t − 1)²/s = 1/s, so F has unit variance throughout. An
    untrained F is zero: the model starts as the shared Gaussian and learns what differs from it.
    """
    s = (1 - t) ** 2 + t**2
    c_in = c_out = s**-0.5
    c_skip = (2 * t - 1) / s
    return c_skip * x + c_out * network(c_in * x, t)


def flow_loss(
    network: Network,
    x_0: Float[Tensor, "n dim"],
    eps: Float[Tensor, "n dim"],
    t: Float[Tensor, " n"],
    output: str,
) -> Float[Tensor, " n"]:
    """Return the loss of each row, averaged over dimensions.

    Args:
        network: F.
        x_0: latents, after preprocessing.
        eps: standard normal noise.
        t: times in (0, 1).
        output: ``velocity`` measures v; ``x0`` measures the denoised D = x − t v. With the
            preconditioning above both outputs are the same function of F, up to sign and c_out,
            and the loss on x_0 is the loss on v times t².
    """
    t = t[:, None]
    x = (1 - t) * x_0 + t * eps
    error = velocity(network, x, t) - (eps - x_0)
    if output == "x0":
        error = t * error
    return error.square().mean(dim=1)
