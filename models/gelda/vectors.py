"""The vectors γ and κ that a generator is conditioned on: given, one-hot, means of rows, or learned."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.errors import InputProblem
from models.gelda.moments import Moments


def table(
    vectors: np.ndarray | None, source: str, n: int, field: str
) -> Float[Tensor, "n m"] | None:
    """Return the vectors to condition on; None where they are learned.

    Args:
        vectors: (n, m) given ones, which go before ``source``.
        source: of the spec.
        n: how many classes or subdomains there are.
        field: of the spec, ``classes`` or ``subdomains``.

    Raises:
        InputProblem: ``class_vectors_mismatch``, ``subdomain_vectors_mismatch``,
            ``non_finite_values``.
        ValueError: the source needs vectors, and none were given.
    """
    if vectors is None:
        return _own(source, n, field)
    singular = {"classes": "class", "subdomains": "subdomain"}[field]
    if vectors.ndim != 2 or len(vectors) != n:
        raise InputProblem(
            f"{singular}_vectors_mismatch",
            f"expected one vector for each of the {n} {field}; found an array of shape "
            f"{list(vectors.shape)}",
            field,
        )
    given = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    if not bool(given.isfinite().all()):
        row = int(np.argmax(~np.isfinite(vectors).all(axis=1)))
        raise InputProblem("non_finite_values", f"{singular} vector {row} is not finite", field)
    return given


def _own(source: str, n: int, field: str) -> Tensor | None:
    if source == "one_hot":
        return torch.eye(n)
    if source != "learned":
        raise ValueError(f"{field}.source is {source!r}, but no vectors were given")
    return None


def mean_vectors(moments: Moments) -> Float[Tensor, "s dim"]:
    """Return the mean standardised latent of each subdomain, rows without a label included."""
    return moments.subdomain_means.float()


def refuse_absent(names: Sequence[str], counts: np.ndarray, kind: str, field: str) -> None:
    """Refuse a class or subdomain without rows, where its vector would have to be learned from them.

    Args:
        names: of the classes or subdomains.
        counts: rows of each.
        kind: ``class`` or ``subdomain``.
        field: of the spec.

    Raises:
        InputProblem: ``class_without_rows`` or ``subdomain_without_rows``.
    """
    if not counts.all():
        name = names[int(np.argmin(counts))]
        raise InputProblem(
            f"{kind}_without_rows",
            f"{kind} {name!r} has no training row; give {kind} vectors that carry semantics "
            f"({field}.source names, descriptions or upload) to draw a {kind} that was never seen",
            field,
        )
