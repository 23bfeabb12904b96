"""Solvers of the flow's ODE dx/dt = v(x, t), from noise at t = 1 to data at t = 0.

Free functions over any ``model(x, t) -> v``. In the terms of the papers: α_t = 1 − t, σ_t = t,
D(x, t) = x − t v(x, t).
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

Model = Callable[[Tensor, Tensor], Tensor]
"""v(x, t), with x of shape (n, dim) and t a scalar."""

Solver = Callable[[Model, Tensor, Tensor], Tensor]


def uniform_times(steps: int, device: torch.device | str = "cpu") -> Float[Tensor, " times"]:
    """Return ``steps + 1`` times from 1 to 0, equally far apart."""
    return torch.linspace(1, 0, steps + 1, device=device)


def heun(
    model: Model, x: Float[Tensor, "n dim"], times: Float[Tensor, " times"]
) -> Float[Tensor, "n dim"]:
    """Heun's second-order method: Karras et al. 2022, algorithm 1; 2 · steps − 1 evaluations.

    As there, the last step is Euler's: at t = 0 a model that was trained on D has no velocity.
    """
    for t, t_next in pairwise(times):
        d = model(x, t)
        x_next = x + (t_next - t) * d
        if t_next > 0:
            d_next = model(x_next, t_next)
            x_next = x + (t_next - t) * (d + d_next) / 2
        x = x_next
    return x


def dpmpp_2m(
    model: Model, x: Float[Tensor, "n dim"], times: Float[Tensor, " times"]
) -> Float[Tensor, "n dim"]:
    """DPM-Solver++(2M): Lu et al. 2022 (*DPM-Solver++*), algorithm 2; one evaluation a step.

    λ = log(α/σ) is −∞ at t = 1 and +∞ at t = 0, which the first and the last step, both of first
    order, take exactly: exp(−h) is 0 there.
    """
    lambdas = torch.log1p(-times) - times.log()
    D_old: Tensor | None = None
    h_old = torch.zeros(())
    for i, (t, t_next) in enumerate(pairwise(times)):
        D = x - t * model(x, t)
        h = lambdas[i + 1] - lambdas[i]
        D_bar = D
        if D_old is not None and t_next > 0:
            r = h_old / h
            D_bar = D + (D - D_old) / (2 * r)
        # Lu et al., equation 13: x ← (σ'/σ) x − α' (e^{−h} − 1) D̄
        x = (t_next / t) * x - (1 - t_next) * torch.expm1(-h) * D_bar
        D_old, h_old = D, h
    return x


SOLVERS: dict[str, Solver] = {"heun": heun, "dpmpp_2m": dpmpp_2m}
