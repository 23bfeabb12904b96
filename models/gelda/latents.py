"""Between the caller's latents and what the flow models: fit, transform, invert.

x → square root (optional) → standardised z → whitened residual r = W g_c (z − m_c). The flow then
has to learn only how a class differs from the shared Gaussian; what few rows say about a class's
mean is a matter of shrinkage, not of a network. Covariance: oracle approximating shrinkage (Chen,
Wiesel, Eldar & Hero 2010, equation 23).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.errors import InputProblem
from models.gelda.spec import LatentSpec

CHUNK = 16_384
"""Rows read at once, so that a memory-mapped data set never has to fit into memory."""

SIMILARITY_TEMPERATURE = 0.1
"""Softness of the choice of related classes; measured on CIFAR-100-LT, flat from 0.07 to 0.2."""


@dataclass(frozen=True)
class Latents:
    """A fitted preprocessing; all tensors float32 on one device.

    Attributes:
        sqrt: whether latents are square-rooted first.
        mean: (dim,) of the training rows.
        scale: (dim,) standard deviation; 0 where a dimension is constant, which it stays.
        means: (K, dim) class means of the standardised rows; residuals are taken from these.
        centres: (K, dim) the same, shrunk to what related classes suggest; latents are drawn here.
        gain: (K,) √(n/(n−1)): rows lie closer to a mean they take part in. 0 for fewer than 2.
        whiten: (dim, dim), r = whiten · (z − m).
        colour: (dim, dim), its inverse.
    """

    sqrt: bool
    mean: Float[Tensor, " dim"]
    scale: Float[Tensor, " dim"]
    means: Float[Tensor, "k dim"]
    centres: Float[Tensor, "k dim"]
    gain: Float[Tensor, " k"]
    whiten: Float[Tensor, "dim dim"]
    colour: Float[Tensor, "dim dim"]

    def transform(self, x: Float[Tensor, "n dim"], y: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        """Return the whitened residuals of rows ``x`` of classes ``y``."""
        z = _standardise(_root(x, self.sqrt), self.mean, self.scale)
        return self.gain[y][:, None] * (z - self.means[y]) @ self.whiten.T

    def inverse(self, r: Float[Tensor, "n dim"], y: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        """Return latents in the caller's space for residuals ``r`` around the centres of ``y``."""
        z = r @ self.colour.T + self.centres[y]
        x = z * self.scale + self.mean
        # A root is not negative: what falls below 0 is the mass that the ReLU put at 0.
        return x.clamp(min=0).square() if self.sqrt else x

    def tensors(self) -> dict[str, Tensor]:
        """Return the fitted tensors by name, for `Latents.restore`."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "sqrt"}

    @classmethod
    def restore(cls, sqrt: bool, tensors: dict[str, Tensor]) -> "Latents":
        return cls(sqrt=sqrt, **tensors)

    def to(self, device: str) -> "Latents":
        return Latents(self.sqrt, **{k: v.to(device) for k, v in self.tensors().items()})


def fit(x: np.ndarray, y: np.ndarray, n_classes: int, related: Tensor, spec: LatentSpec) -> Latents:
    """Fit the preprocessing to training rows.

    Args:
        x: (n, dim) latents, any float type, may be memory-mapped; read in chunks, three times.
        y: (n,) class indices.
        n_classes: K; a class may have no row.
        related: (K, K) cosines between class vectors; the unit matrix where nothing is known.
        spec: which transform and how much shrinkage.

    Raises:
        InputProblem: ``negative_latents``, for `sqrt` on latents below 0.
    """
    root = spec.transform == "sqrt"
    if root:
        _refuse_negative(x)
    mean, scale = _moments(x, root)
    rows = _Rows(x, y, root, mean, scale)
    counts = torch.bincount(torch.as_tensor(np.asarray(y)), minlength=n_classes).double()
    dim = len(mean)
    if spec.model == "direct":
        zeros, eye = torch.zeros(n_classes, dim), torch.eye(dim)
        parts = (mean, scale, zeros, zeros.clone(), torch.ones(n_classes), eye, eye.clone())
        return Latents(root, *(part.float() for part in parts))
    means = torch.zeros(n_classes, dim, dtype=torch.float64)
    for z, labels in rows.chunks():
        means.index_add_(0, labels, z)
    means /= counts.clamp(min=1)[:, None]
    S = _covariance(rows, means, counts)
    whiten, colour = _whitening(S)
    worth = spec.shrinkage * prior_rows(means, counts, S)
    centres = shrink_means(means, counts, related, worth)
    gain = torch.where(counts > 1, (counts / (counts - 1).clamp(min=1)).sqrt(), 0.0)
    parts = (mean, scale, means, centres, gain, whiten, colour)
    return Latents(root, *(part.float() for part in parts))


def prior_rows(
    means: Float[Tensor, "k dim"], counts: Float[Tensor, " k"], S: Float[Tensor, "dim dim"]
) -> float:
    """Return the variance within classes over that between them, as a number of rows.

    Under a Gaussian prior for class means, a mean of n rows deserves the weight n/(n + this number)
    (Efron & Morris 1973). Classes far apart compared to their spread give a small one: there even a
    single row says where its class lies.

    Args:
        means: class means of the standardised rows.
        counts: rows a class.
        S: covariance within classes.
    """
    seen = counts > 0
    if int(seen.sum()) < 2:
        return 0.0
    within = float(S.trace())
    # The means of few rows differ by chance as well, by 1/n of the spread within a class.
    between = float(means[seen].var(dim=0).sum()) - within * float((1 / counts[seen]).mean())
    return within / max(between, 0.01 * within, 1e-12)


def shrink_means(
    means: Float[Tensor, "k dim"],
    counts: Float[Tensor, " k"],
    related: Float[Tensor, "k k"],
    worth: float,
) -> Float[Tensor, "k dim"]:
    """Return m = n/(n + k₀) · mean + k₀/(n + k₀) · estimate from related classes, k₀ = ``worth``.

    The estimate of class c is Σ_j softmax_j(cos(u_c, u_j)/0.1 + ½ log n_j) · mean_j over the other
    classes with rows: closer in meaning and better known ones count for more. Where nothing is known
    of the classes all are alike, and scarce classes are drawn towards the middle.

    Measured: few rows lie too far out, above all where the encoder was trained on them. On
    CIFAR-100-LT k₀ from 5 to 10 gains 0.7 to 1 point of accuracy, with a Gaussian or a flow.
    """
    seen = counts > 0
    if int(seen.sum()) < 2:
        return means
    scores = related.to(means) / SIMILARITY_TEMPERATURE + counts.clamp(min=1).log()[None, :] / 2
    scores = scores.masked_fill(~seen[None, :], -torch.inf)
    scores = scores.masked_fill(torch.eye(len(counts), dtype=torch.bool), -torch.inf)
    estimate = scores.softmax(dim=1) @ means
    # A class without rows has nothing but the estimate, whatever the prior's weight.
    weight = torch.where(seen, counts / (counts + worth), 0.0)[:, None]
    return weight * means + (1 - weight) * estimate


@dataclass(frozen=True)
class _Rows:
    """Training rows, read and standardised a chunk at a time."""

    x: np.ndarray
    y: np.ndarray
    root: bool
    mean: Tensor
    scale: Tensor

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start, rows in zip(range(0, len(self.x), CHUNK), _read(self.x, self.root), strict=True):
            labels = torch.from_numpy(np.array(self.y[start : start + CHUNK], dtype=np.int64))
            yield _standardise(rows, self.mean, self.scale), labels


def _covariance(rows: _Rows, means: Tensor, counts: Tensor) -> Float[Tensor, "dim dim"]:
    """Return the shrunk pooled covariance within classes.

    Where no class has two rows, nothing is known about the spread within one; the spread of all rows
    stands in for it.
    """
    freedom = float((counts - 1).clamp(min=0).sum())
    if freedom == 0:
        means, freedom = torch.zeros_like(means), float(counts.sum())
    scatter = torch.zeros((means.shape[1], means.shape[1]), dtype=torch.float64)
    for z, labels in rows.chunks():
        residual = z - means[labels]
        scatter += residual.T @ residual
    return shrink_covariance(scatter / freedom, freedom)


def shrink_covariance(S: Float[Tensor, "dim dim"], freedom: float) -> Float[Tensor, "dim dim"]:
    """Return (1 − ρ) S + ρ tr(S)/p I, with OAS's ρ for n = ``freedom`` (Chen et al., eq. 23)."""
    p = len(S)
    trace, trace_of_square = S.trace(), S.square().sum()
    numerator = (1 - 2 / p) * trace_of_square + trace**2
    denominator = (freedom + 1 - 2 / p) * (trace_of_square - trace**2 / p)
    rho = 1.0 if denominator <= 0 else min(1.0, float(numerator / denominator))
    return (1 - rho) * S + rho * trace / p * torch.eye(p, dtype=S.dtype)


def _whitening(S: Tensor) -> tuple[Tensor, Tensor]:
    """Return S^{−1/2} and S^{1/2}, symmetric."""
    values, vectors = torch.linalg.eigh(S)
    deviations = values.clamp(min=1e-10).sqrt()
    return (vectors / deviations) @ vectors.T, (vectors * deviations) @ vectors.T


def _moments(x: np.ndarray, root: bool) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation a dimension, in two passes (one would cancel digits)."""
    n = len(x)
    total = torch.zeros(x.shape[1], dtype=torch.float64)
    for rows in _read(x, root):
        total += rows.sum(dim=0)
    mean = total / n
    squares = torch.zeros_like(mean)
    for rows in _read(x, root):
        squares += (rows - mean).square().sum(dim=0)
    scale = (squares / n).sqrt()
    # A dimension that varies by rounding alone is constant.
    return mean, torch.where(scale > 1e-6 * (mean.abs() + 1e-6), scale, 0.0)


def _read(x: np.ndarray, root: bool) -> Iterator[Tensor]:
    for start in range(0, len(x), CHUNK):
        chunk = np.array(x[start : start + CHUNK], dtype=np.float64)
        yield _root(torch.from_numpy(chunk), root)


def _root(x: Tensor, root: bool) -> Tensor:
    return x.sqrt() if root else x


def _standardise(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return (x - mean) * torch.where(scale > 0, 1 / scale, 0.0)


def _refuse_negative(x: np.ndarray) -> None:
    for start in range(0, len(x), CHUNK):
        chunk = np.asarray(x[start : start + CHUNK])
        if chunk.size and chunk.min() < 0:
            row = start + int(np.argmax((chunk < 0).any(axis=1)))
            raise InputProblem(
                "negative_latents",
                f"row {row} has a value below 0, of which latents.transform=sqrt takes no root; "
                "use latents.transform=none",
                "latents.transform",
            )
