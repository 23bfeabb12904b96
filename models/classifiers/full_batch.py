"""Linear heads, whose objective is convex: L-BFGS on all rows at once, to the minimum.

Nothing is drawn, so equal rows give equal heads: arms and seeds differ in the rows added alone.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.classifiers.head import HeadNetwork
from models.classifiers.objective import Part
from models.errors import Interrupted

MAX_ITERATIONS = 200
TOLERANCE = 1e-5
"""The fall of the objective in one iteration below which it is at its minimum."""

CHUNK = 4096
"""Rows whose logits are held at once."""


def minimise(
    network: HeadNetwork,
    parts: Sequence[Part],
    penalty: float,
    should_stop: Callable[[], bool],
) -> None:
    """Set the parameters of a linear head without blocks to the minimum of its objective.

    That is Σ weight · mean cross-entropy + penalty/2 · (|U|² + |β|²), with U and β as in `Base`.

    Raises:
        Interrupted: ``should_stop``, read at every evaluation, said so.
    """
    weight, bias = network.weight, network.bias

    @torch.no_grad()
    def objective() -> float:
        if should_stop():
            raise Interrupted("head training stopped")
        value, to_weight, to_bias = _loss(network, parts)
        weight.grad = to_weight.add_(weight, alpha=penalty)
        bias.grad = to_bias.add_(bias, alpha=penalty)
        return value + 0.5 * penalty * float(weight.square().sum() + bias.square().sum())

    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=0.0,
        tolerance_change=TOLERANCE,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(objective)  # type: ignore[no-untyped-call]
    weight.grad = bias.grad = None


def _loss(network: HeadNetwork, parts: Sequence[Part]) -> tuple[float, Tensor, Tensor]:
    """Return the loss and its gradients by U and β."""
    weight, bias = network.weights()
    to_weight, to_bias = torch.zeros_like(weight), torch.zeros_like(bias)
    value = 0.0
    for part in parts:
        shift = bias if part.offset is None else bias + part.offset
        for start in range(0, len(part.y), CHUNK):
            z, y = part.z[start : start + CHUNK], part.y[start : start + CHUNK]
            log_p = torch.addmm(shift, z, weight.T).log_softmax(dim=1)
            share = part.weight / len(part.y)
            value -= share * float(log_p.gather(1, y[:, None]).sum())
            error = log_p.exp_()
            error[torch.arange(len(y), device=y.device), y] -= 1
            to_weight.addmm_(error.T, z, alpha=share)
            to_bias.add_(error.sum(dim=0), alpha=share)
    root = None if network.base is None else network.base.root
    return value, to_weight if root is None else root.T @ to_weight, to_bias
