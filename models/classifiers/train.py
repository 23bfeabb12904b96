"""Training a head on latents Z^(l), real and synthetic."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.classifiers.batches import descend
from models.classifiers.full_batch import minimise
from models.classifiers.head import Head, HeadNetwork
from models.classifiers.objective import Labels, Latents, Shares, class_shares, parts_of
from models.classifiers.prior import Given, base_of
from models.classifiers.spec import HeadSpec
from models.front.blocks import AdapterBlock

PRIOR_ROWS = 10.0
"""Default penalty times real rows: a prior on the weights that data outweigh as they grow."""

FULL_BATCH_ROWS = 25_000
"""Real rows up to which a linear head is brought to its minimum on all rows at once. Up to here
that takes at most a few times as long as batches, and depends on no seed."""


def weight_decay(spec: HeadSpec, n_real: int) -> float:
    """The L2 penalty of every arm on ``n_real`` real rows; the mean loss has the weight 1."""
    return min(1.0, PRIOR_ROWS / n_real) if spec.weight_decay is None else spec.weight_decay


def seedless(spec: HeadSpec, n_real: int, blocks: Sequence[AdapterBlock] = ()) -> bool:
    """Whether the head follows from its rows alone: repeating its training would change nothing."""
    return spec.head in {"linear", "kernel"} and not blocks and n_real <= FULL_BATCH_ROWS


def fit_head(
    z: Latents,
    y: Labels,
    n_classes: int,
    spec: HeadSpec,
    seed: int,
    *,
    n_real: int | None = None,
    prior: Shares | None = None,
    similarity: npt.NDArray[np.floating[Any]] | None = None,
    initial: Given | None = None,
    blocks: Sequence[AdapterBlock] = (),
    classes: Sequence[str] | None = None,
    device: str = "cpu",
    should_stop: Callable[[], bool] = lambda: False,
) -> Head:
    """A head trained on latents `n dim` with labels `n`, as a `Front` made them.

    The first `n_real` rows (by default all) are real: they alone set the penalty and the class
    prior, so that arms differ in what they add and in nothing else (`objective.parts_of`). Linear
    heads go to their minimum by L-BFGS; the others, those above blocks and those on more than
    `FULL_BATCH_ROWS` real rows take `spec.epochs` by Adam.

    Args:
        z: latents Z^(l); memory-mapped and float16 are fine.
        y: class of each row, 0 to `n_classes` - 1.
        n_classes: logits of the head.
        spec: the head and its training.
        seed: of initial weights, batches and dropout; equal seeds give equal heads.
        n_real: how many leading rows are real.
        prior: class shares to adjust logits by, instead of those of the real rows.
        similarity: cosines of the class vectors, classes × classes, for `kernel`; None is linear.
        initial: weight and bias of a linear head on Z^(l), learned under the real rows' prior, at
            which training starts and to which the penalty pulls.
        blocks: the adapter's blocks above l; copies of them are fine-tuned with the head.
        classes: names to store with the head.
        device: where to train.
        should_stop: read every step or evaluation.

    Raises:
        InputProblem: ``head_mismatch``, `initial` is of another shape.
        Interrupted: `should_stop` said so.
        ValueError: no real row, or `z`, `y` and `similarity` do not fit together.
    """
    n_real = len(y) if n_real is None else n_real
    if len(z) != len(y) or not 0 < n_real <= len(y):
        raise ValueError(f"{len(z)} latents, {len(y)} labels, {n_real} real rows do not fit")
    generator = torch.Generator().manual_seed(seed)
    dim, shares = z.shape[1], class_shares(y[:n_real], n_classes) if prior is None else prior
    copies = copy.deepcopy(list(blocks))
    network = HeadNetwork(dim, n_classes, spec.head, spec.hidden, copies)
    network.initialise(generator)
    network.to(device).train()
    if network.linear:
        base = base_of(spec, y=y, dim=dim, prior=shares, similarity=similarity, initial=initial)
        network.base = None if base is None else base.to(device)
    parts = parts_of(z, y, n_real=n_real, prior=shares, spec=spec, device=device)
    penalty = weight_decay(spec, n_real)
    if seedless(spec, n_real, blocks):
        minimise(network, parts, penalty, should_stop)
    else:
        descend(network, parts, spec, penalty, generator, should_stop)
    network.fold()
    return Head(network, dim=dim, n_classes=n_classes, spec=spec, classes=classes)
