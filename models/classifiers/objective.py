"""What a head minimises: a weighted sum of mean cross-entropies, with logits moved by the prior."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.classifiers.spec import HeadSpec

Latents = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]
Shares = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Part:
    """Rows of one kind, whose mean cross-entropy is one term of the loss.

    Attributes:
        z: latents, float32 (n, dim).
        y: classes, int64 (n,).
        weight: of this term.
        offset: added to the logits before the softmax, (classes,); None adds nothing.
    """

    z: Tensor
    y: Tensor
    weight: float
    offset: Tensor | None


def class_shares(y: Labels, n_classes: int) -> npt.NDArray[np.float64]:
    """The share of each class, float64 `classes`; one without a row counts as having one."""
    counts = np.maximum(np.bincount(y, minlength=n_classes), 1)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def parts_of(
    z: Latents, y: Labels, *, n_real: int, prior: Shares, spec: HeadSpec, device: str
) -> Sequence[Part]:
    """Return the terms of the loss.

    Plain cross-entropy is one mean over all rows. Under `logit_adjusted` (Menon et al. 2021,
    equation 10) real rows carry the log of the real prior, while the class-balanced rest has plain
    cross-entropy, weighted by `spec.synthetic_weight`.

    Args:
        z: latents (n, dim), any float type.
        y: classes (n,); the first ``n_real`` rows are real.
        n_real: how many.
        prior: class shares of the real rows.
        spec: the head.
        device: where the tensors are wanted.
    """
    latents = torch.from_numpy(np.array(z, dtype=np.float32)).to(device)
    labels = torch.from_numpy(np.array(y, dtype=np.int64)).to(device)
    if spec.loss == "cross_entropy":
        return [Part(latents, labels, 1.0, None)]
    offset = torch.from_numpy(_adjustment(spec, prior).astype(np.float32)).to(device)
    real = Part(latents[:n_real], labels[:n_real], 1.0, offset)
    if n_real == len(y) or spec.synthetic_weight == 0:
        return [real]
    return [real, Part(latents[n_real:], labels[n_real:], spec.synthetic_weight, None)]


def start_bias(
    bias: Shares, y: Labels, *, prior: Shares, spec: HeadSpec
) -> npt.NDArray[np.float64]:
    """Return the bias at which a head that came with the embeddings starts.

    Its own bias has learned the real rows' prior. Where the loss brings that prior itself, or where
    added rows change it, the head would otherwise start by counting it twice, or wrongly.
    """
    if spec.loss == "logit_adjusted":
        return np.asarray(bias - _adjustment(spec, prior), dtype=np.float64)
    return np.asarray(bias - np.log(prior) + np.log(class_shares(y, len(bias))), dtype=np.float64)


def _adjustment(spec: HeadSpec, prior: Shares) -> npt.NDArray[np.float64]:
    """τ log π."""
    return np.asarray(spec.adjustment * np.log(prior), dtype=np.float64)
