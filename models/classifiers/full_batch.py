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

SHARPENED = 0.3
"""Curvature at the minimum, where classes are told apart, as a share of that at the start."""


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
    scale_weight, scale_bias = _scales(network, parts, penalty)
    # In these coordinates the curvature is about 1 everywhere; rare classes' would else be tiny.
    weight = torch.zeros_like(network.weight, requires_grad=True)
    bias = torch.zeros_like(network.bias, requires_grad=True)

    @torch.no_grad()
    def objective() -> float:
        if should_stop():
            raise Interrupted("head training stopped")
        network.weight.copy_(weight * scale_weight)
        network.bias.copy_(bias * scale_bias)
        value, to_weight, to_bias = _loss(network, parts)
        value += 0.5 * penalty * _squares(network.weight, network.bias)
        weight.grad = (to_weight + penalty * network.weight) * scale_weight
        bias.grad = (to_bias + penalty * network.bias) * scale_bias
        return value

    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=0.0,
        tolerance_change=TOLERANCE,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(objective)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        network.weight.copy_(weight * scale_weight)
        network.bias.copy_(bias * scale_bias)


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


def _squares(*tensors: Tensor) -> float:
    return sum(float(tensor.square().sum()) for tensor in tensors)


def _scales(network: HeadNetwork, parts: Sequence[Part], penalty: float) -> tuple[Tensor, Tensor]:
    """Return 1 / √(about the objective's curvature) by each of U and β.

    A class of share π has π (1 - π) E[z²] along dimension z while the head knows nothing.
    """
    n_classes = len(network.bias)
    by_class = torch.zeros_like(network.bias)
    by_dim = torch.zeros_like(network.weight[0])
    total = sum(part.weight for part in parts)
    for part in parts:
        share = torch.bincount(part.y, minlength=n_classes) / len(part.y)
        by_class += SHARPENED * part.weight * share * (1 - share)
        by_dim += part.weight / total * part.z.square().mean(dim=0)
    root = None if network.base is None else network.base.root
    mixed = by_class if root is None else root.T.square() @ by_class
    # Without a penalty a class without rows has no curvature at all.
    least = max(penalty, 1e-8)
    return (mixed[:, None] * by_dim + least).rsqrt(), (by_class + least).rsqrt()
