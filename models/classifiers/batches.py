"""Heads that are not convex, or stand on very many rows: Adam, in steps that no arm can change."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.classifiers.head import HeadNetwork
from models.classifiers.objective import Part
from models.classifiers.spec import HeadSpec
from models.errors import Interrupted

REFERENCE_ROWS = 10_000
"""The size of the training set that `epochs` refers to."""

BLOCK_RATE = 0.1
"""Learning rate of the adapter's blocks as a share of the head's: they have been trained before."""


def optimiser_steps(spec: HeadSpec) -> int:
    """Steps of every arm, however many rows it trains on: else the larger set wins by training."""
    return math.ceil(spec.epochs * REFERENCE_ROWS / spec.batch_size)


def shuffled(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers, ``size`` at a time, without end: every row once before any comes again."""
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < size:
            left = torch.cat([left, torch.randperm(n, generator=generator)])
        yield left[:size]
        left = left[size:]


def descend(
    network: HeadNetwork,
    parts: Sequence[Part],
    spec: HeadSpec,
    penalty: float,
    generator: torch.Generator,
    should_stop: Callable[[], bool],
) -> None:
    """Train the head and, where it has some, the adapter's blocks below it.

    Every step takes a batch of each part. The penalty pulls the head's weights to zero (or its base)
    and the blocks' to those with which they came.

    Raises:
        Interrupted: ``should_stop``, read every step, said so.
    """
    steps = optimiser_steps(spec)
    batches = [shuffled(len(p.y), min(spec.batch_size, len(p.y)), generator) for p in parts]
    dropout = on_device(network.weight.device, generator)
    pulls = [(tensor, tensor.detach().clone()) for tensor in network.blocks.parameters()]
    optimiser = _optimiser(network, spec, penalty)
    for step in range(steps):
        if should_stop():
            raise Interrupted(f"head training stopped before step {step} of {steps}")
        decay = 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * decay
        loss = torch.zeros((), device=network.weight.device)
        for part, rows in zip(parts, map(next, batches), strict=True):
            loss = loss + part.weight * batch_loss(network, part, rows, dropout)
        for tensor, came in pulls:
            loss = loss + 0.5 * penalty * (tensor - came).square().sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def batch_loss(
    network: HeadNetwork, part: Part, rows: Tensor, dropout: torch.Generator | None
) -> Tensor:
    """Return the mean cross-entropy of some of a part's rows."""
    rows = rows.to(part.y.device)
    logits = network(part.z[rows], dropout)
    if part.offset is not None:
        logits = logits + part.offset
    return functional.cross_entropy(logits, part.y[rows])


def on_device(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """Return a generator for draws on ``device``, seeded by the one on the CPU."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.Generator(device=device).manual_seed(seed)


def _optimiser(network: HeadNetwork, spec: HeadSpec, penalty: float) -> torch.optim.Adam:
    blocks = list(network.blocks.parameters())
    own = [tensor for name, tensor in network.named_parameters() if not name.startswith("blocks.")]
    groups = [{"params": own, "peak": spec.learning_rate, "weight_decay": penalty}]
    if blocks:
        groups.append({"params": blocks, "peak": BLOCK_RATE * spec.learning_rate})
    # Adam with the penalty in the gradient, and a short memory of squares: heads on balanced mixes
    # gained 0.3 to 0.9 points over decoupled decay (CIFAR-100-LT, ResNet-32 latents).
    return torch.optim.Adam(groups, lr=spec.learning_rate, betas=(0.9, 0.99))
