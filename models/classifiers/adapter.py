"""Step 2 of the paper's path: the adapter's blocks and a head, trained together on real rows."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.classifiers.batches import REFERENCE_ROWS, batch_loss, on_device, shuffled
from models.classifiers.head import HeadNetwork
from models.classifiers.objective import Labels, Latents, Part, class_shares, parts_of
from models.classifiers.spec import HeadSpec
from models.errors import Interrupted
from models.front.blocks import AdapterBlock
from models.front.spec import AdapterSpec

PATIENCE = 5
"""Looks at held-out rows, one an epoch, without a lower loss, after which training ends."""


def fit_adapter(
    z: Latents,
    y: Labels,
    n_classes: int,
    spec: AdapterSpec,
    head: HeadSpec,
    seed: int,
    *,
    held_out: tuple[Latents, Labels] | None = None,
    device: str = "cpu",
    on_look: Callable[[int, float], None] = lambda _look, _loss: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[AdapterBlock]:
    """The adapter's blocks, on the CPU, in order; the head that taught them is left behind.

    With held-out rows the blocks are those of the epoch that told them apart best, in the mean over
    classes where `head` adjusts logits (its logits are then of balanced classes), else over rows.

    Args:
        z: latents Z^(0) of real rows, (n, dim).
        y: class of each row, 0 to ``n_classes`` - 1.
        n_classes: logits of the head.
        spec: the blocks and their training.
        head: kind, loss and batch size of the head that teaches them.
        seed: of initial weights, batches and dropout; equal seeds give equal blocks.
        held_out: latents and classes of rows to stop by; None, or no row, trains to the end.
        device: where to train.
        on_look: called with the number of each look and the loss on held-out rows.
        should_stop: read every step.

    Raises:
        Interrupted: ``should_stop`` said so.
        ValueError: no row, or ``z`` and ``y`` of different length.
    """
    if len(z) != len(y) or not len(y):
        raise ValueError(f"{len(z)} latents and {len(y)} labels do not fit")
    if not spec.blocks:
        return []
    generator = torch.Generator().manual_seed(seed)
    network = _network(z.shape[1], n_classes, spec, head, generator).to(device)
    prior = class_shares(y, n_classes)
    (part,) = parts_of(z, y, n_real=len(y), prior=prior, spec=head, device=device)
    watch = None
    if held_out is not None and len(held_out[1]):
        watch = _Watch(held_out, balanced=head.loss == "logit_adjusted", device=device)
    best, lowest, waited = network, math.inf, 0
    epochs = _epochs(network, part, spec, head, generator, should_stop)
    for look, _ in enumerate(epochs):
        if watch is None:
            continue
        found = watch.loss(network)
        on_look(look, found)
        waited += 1
        if found < lowest:
            best, lowest, waited = copy.deepcopy(network), found, 0
        elif waited >= PATIENCE:
            break
    return [block.cpu().requires_grad_(False) for block in best.blocks]  # type: ignore[misc]


def _network(
    dim: int, n_classes: int, spec: AdapterSpec, head: HeadSpec, generator: torch.Generator
) -> HeadNetwork:
    width = spec.width or 2 * dim
    blocks = [AdapterBlock(dim, width, spec.dropout) for _ in range(spec.blocks)]
    for block in blocks:
        block.initialise(generator)
    network = HeadNetwork(dim, n_classes, head.head, head.hidden, blocks)
    network.initialise(generator)
    return network


def _epochs(
    network: HeadNetwork,
    part: Part,
    spec: AdapterSpec,
    head: HeadSpec,
    generator: torch.Generator,
    should_stop: Callable[[], bool],
) -> Iterator[int]:
    """Train; yield after each pass, of which one over many rows is as long as over 10,000."""
    size = min(head.batch_size, len(part.y))
    a_pass = math.ceil(min(len(part.y), REFERENCE_ROWS) / size)
    steps = spec.epochs * a_pass
    batches = shuffled(len(part.y), size, generator)
    dropout = on_device(network.weight.device, generator)
    optimiser = _optimiser(network, spec, head)
    for step in range(steps):
        if should_stop():
            raise Interrupted(f"adapter training stopped before step {step} of {steps}")
        decay = 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * decay
        optimiser.zero_grad(set_to_none=True)
        loss = batch_loss(network, part, next(batches), dropout)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % a_pass == 0:
            yield step + 1


def _optimiser(network: HeadNetwork, spec: AdapterSpec, head: HeadSpec) -> torch.optim.AdamW:
    own = [tensor for name, tensor in network.named_parameters() if not name.startswith("blocks.")]
    groups: list[dict[str, Any]] = [
        {"params": list(network.blocks.parameters()), "peak": spec.learning_rate},
        {"params": own, "peak": head.learning_rate},
    ]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, weight_decay=spec.weight_decay)


class _Watch:
    """The loss on held-out rows."""

    def __init__(self, rows: tuple[Latents, Labels], *, balanced: bool, device: str) -> None:
        plain = HeadSpec(loss="cross_entropy")
        n, classes = len(rows[1]), int(rows[1].max()) + 1
        shares = class_shares(rows[1], classes)
        (self._part,) = parts_of(*rows, n_real=n, prior=shares, spec=plain, device=device)
        counts = torch.bincount(self._part.y).clamp(min=1)[self._part.y]
        weights = 1 / counts if balanced else torch.ones_like(counts, dtype=torch.float32)
        self._weights = weights / weights.sum()

    @torch.inference_mode()
    def loss(self, network: HeadNetwork) -> float:
        losses: list[Tensor] = []
        for z, y in zip(self._part.z.split(4096), self._part.y.split(4096), strict=True):  # type: ignore[no-untyped-call]
            losses.append(functional.cross_entropy(network(z), y, reduction="none"))
        return float((self._weights * torch.cat(losses)).sum())
