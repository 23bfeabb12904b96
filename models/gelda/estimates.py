"""What vectors of meaning say about the mean of a class: estimates from all classes but its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

SIMILARITY_TEMPERATURE = 0.1
"""Softness of the choice of related classes; measured on CIFAR-100-LT, flat from 0.07 to 0.2."""

RIDGES = tuple(10 ** (exponent / 3) for exponent in range(-9, 7))
"""Penalties that leave-one-class-out chooses from, beside cosines with 1 on the diagonal."""

WIDTHS = (0.3, 0.6, 1.2)
"""Of the Gaussian kernels that leave-one-class-out chooses from beside the cosine itself."""

INTERCEPT = 1e4
"""Added to the kernel: so large that the middle of all classes is hardly penalised."""


def estimate(
    means: Float[Tensor, "k dim"],
    counts: Float[Tensor, " k"],
    related: Float[Tensor, "k k"],
    worth: float,
    kind: str,
) -> tuple[Float[Tensor, "k dim"], str]:
    """Return for each class what the others suggest as its mean, and the kind of estimate it is.

    Args:
        means: class means; those of classes without rows are not looked at.
        counts: rows a class; at least one class has rows.
        related: cosines between class vectors; the unit matrix where nothing is known.
        worth: rows after which a mean is known as well as it varies between classes.
        kind: ``similar``, ``ridge``, or ``auto`` for the one with the lower error on classes with
            rows, each estimated from the others and weighted by how well its mean is known.
    """
    found: dict[str, Tensor] = {}
    if kind != "ridge":
        found["similar"] = similar(means, counts, related)
    if kind != "similar":
        found["ridge"] = ridge(means, counts, related, worth)
    seen = counts > 0
    weights = counts[seen] / (counts[seen] + worth)

    def error(name: str) -> float:
        return float(weights @ (found[name] - means)[seen].square().sum(dim=1))

    best = min(found, key=error)
    return found[best], best


def similar(
    means: Float[Tensor, "k dim"], counts: Float[Tensor, " k"], related: Float[Tensor, "k k"]
) -> Float[Tensor, "k dim"]:
    """Return Σ_j softmax_j(cos(u_c, u_j)/0.1 + ½ log n_j) · mean_j over the other classes with rows.

    Closer in meaning and better known ones count for more. Where nothing is known of the classes all
    are alike, and the estimate is in the middle. The only class with rows keeps its own mean.
    """
    seen = counts > 0
    scores = related.to(means) / SIMILARITY_TEMPERATURE + counts.clamp(min=1).log()[None, :] / 2
    scores = scores.masked_fill(~seen[None, :], -torch.inf)
    if int(seen.sum()) > 1:
        scores = scores.masked_fill(torch.eye(len(counts), dtype=torch.bool), -torch.inf)
    return scores.softmax(dim=1) @ means


def ridge(
    means: Float[Tensor, "k dim"],
    counts: Float[Tensor, " k"],
    related: Float[Tensor, "k k"],
    worth: float,
    widths: Sequence[float] = WIDTHS,
) -> Float[Tensor, "k dim"]:
    """Return kernel ridge regression of class means on class vectors, each class left out itself.

    The kernel is the cosine, or a Gaussian of the vectors' distance, exp((cos − 1)/width), which can
    tell near relatives from far ones; both with an intercept. The penalty of a class grows with the
    noise of its mean, 1 + worth/n. Kernel and penalty are chosen by the closed form of leave-one-out
    (Allen 1974, PRESS). The only class with rows keeps its own mean.
    """
    seen = counts > 0
    if int(seen.sum()) < 2:
        return similar(means, counts, related)
    cosine = related.to(means)
    kernels = [cosine, *(((cosine - 1) / width).exp() for width in widths)]
    known, n = means[seen], counts[seen]
    fits = [_Fit.of(INTERCEPT + kernel, seen, known, n, worth) for kernel in kernels]
    best = min(fits, key=lambda fit: fit.error)
    result = best.everywhere
    result[seen] = known - best.left_out
    return result


@dataclass(frozen=True)
class _Fit:
    """One kernel at its best penalty.

    Attributes:
        error: on classes with rows, each left out, weighted by how well its mean is known.
        left_out: (seen, dim) means minus what the other classes say of them.
        everywhere: (k, dim) what all classes with rows say.
    """

    error: float
    left_out: Tensor
    everywhere: Tensor

    @staticmethod
    def of(kernel: Tensor, seen: Tensor, known: Tensor, n: Tensor, worth: float) -> "_Fit":
        weights = n / (n + worth)
        # With D = diag(1 + worth/n), K + λD = √D (K̃ + λ) √D: one decomposition serves every λ.
        root = (1 + worth / n).sqrt()
        values, Q = torch.linalg.eigh(kernel[seen][:, seen] / root[:, None] / root[None, :])
        projected = Q.T @ (known / root[:, None])

        def fitted(penalty: float) -> "_Fit":
            shrunk = 1 / (values.clamp(min=0) + penalty)
            alpha = (Q @ (projected * shrunk[:, None])) / root[:, None]
            left_out = alpha / ((Q.square() @ shrunk) / root.square())[:, None]
            error = float(weights @ left_out.square().sum(dim=1))
            return _Fit(error, left_out, kernel[:, seen] @ alpha)

        return min((fitted(penalty) for penalty in RIDGES), key=lambda fit: fit.error)
