"""Where a linear head's weights come from before any row is seen: a given head, like classes alike."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.classifiers.head import Base
from models.classifiers.objective import Labels, Shares, start_bias
from models.classifiers.spec import HeadSpec
from models.errors import InputProblem

Given = tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]
"""Weight (classes, dim) and bias (classes,) of a linear head that came with the embeddings."""


def base_of(
    spec: HeadSpec,
    *,
    y: Labels,
    dim: int,
    prior: Shares,
    similarity: npt.NDArray[np.floating[Any]] | None,
    initial: Given | None,
) -> Base | None:
    """Return the base of a linear head; None where it is zero and the classes have nothing in common.

    Raises:
        InputProblem: ``head_mismatch``, the given head is of another shape.
        ValueError: the similarities are not classes × classes.
    """
    n_classes = len(prior)
    root = None
    if spec.head == "kernel" and similarity is not None:
        root = torch.from_numpy(_root(similarity, n_classes, spec.semantic_share)).float()
    if initial is None:
        if root is None:
            return None
        return Base(torch.zeros(n_classes, dim), torch.zeros(n_classes), root)
    weight, bias = (np.asarray(array) for array in initial)
    if weight.shape != (n_classes, dim) or bias.shape != (n_classes,):
        raise InputProblem(
            "head_mismatch",
            f"The head to start at has weights {weight.shape} and biases {bias.shape}; expected "
            f"({n_classes}, {dim}) and ({n_classes},), a row a class on the latents as they are "
            "after preparation.",
            "initial",
        )
    start = start_bias(bias.astype(np.float64), y, prior=prior, spec=spec)
    return Base(torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(start).float(), root)


def _root(
    similarity: npt.NDArray[np.floating[Any]], n_classes: int, share: float
) -> npt.NDArray[np.float64]:
    """Return the Cholesky factor of (1 - share) I + share K."""
    if similarity.shape != (n_classes, n_classes):
        raise ValueError(
            f"similarities are {similarity.shape}; expected ({n_classes}, {n_classes})"
        )
    kernel = _correlations(np.asarray(similarity, dtype=np.float64))
    mixed = (1 - share) * np.eye(n_classes) + share * kernel
    return np.asarray(np.linalg.cholesky(mixed), dtype=np.float64)


def _correlations(similarity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the similarities with no negative eigenvalue and a diagonal of ones.

    Cosines of vectors are so already; what a caller puts together by hand need not be.
    """
    values, vectors = np.linalg.eigh((similarity + similarity.T) / 2)
    kernel = (vectors * np.maximum(values, 0.0)) @ vectors.T
    # A class that is like nothing, not even itself, stands alone.
    own = np.sqrt(np.maximum(kernel.diagonal(), 0.0))
    length = np.where(own > 1e-6, own, 1.0)
    kernel = kernel / np.outer(length, length)
    np.fill_diagonal(kernel, 1.0)
    return np.asarray(kernel, dtype=np.float64)
