"""Fixed preprocessing: root, standardisation, principal components, length; and the way back.

Measured on CIFAR-100-LT with MobileNetV2 latents: root, 256 components and equal lengths are worth
more than a point of accuracy to every head, with or without synthetic rows.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.front.spec import PreparationSpec

CHUNK = 16_384
"""Rows read at once, so that memory-mapped embeddings never have to fit into memory."""


class Preparation(nn.Module):
    """Embeddings `batch dim_in` to Z^(0) `batch dim`, and back.

    Attributes:
        mean, scale: (dim_in,) of the (rooted) training rows; scale is 0 for a constant dimension.
        components: (dim, dim_in) orthonormal rows; absent where all dimensions are kept.
        length: () median root mean square of training rows before they were brought to 1.
    """

    mean: Tensor
    scale: Tensor
    components: Tensor | None
    length: Tensor

    def __init__(self, spec: PreparationSpec, dim_in: int, dim: int | None = None) -> None:
        super().__init__()
        self.spec, self.dim_in = spec, dim_in
        self.dim = dim_in if spec.components is None else min(dim or dim_in, dim_in)
        self.register_buffer("mean", torch.zeros(dim_in))
        self.register_buffer("scale", torch.ones(dim_in))
        kept = None if spec.components is None else torch.eye(self.dim, dim_in)
        self.register_buffer("components", kept)
        self.register_buffer("length", torch.ones(()))

    def forward(self, x: Float[Tensor, "n dim_in"]) -> Float[Tensor, "n dim"]:
        """Return Z^(0) of embeddings; float32."""
        z = self._centred(x)
        if self.spec.normalise:
            z = z / _rms(z)
        return z

    def inverse(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim_in"]:
        """Return embeddings whose `forward` is ``z``, up to rounding.

        What the components left out is the training mean; a row's length, where it was taken away,
        is the training rows' median. ``z`` is first brought to length 1 itself where rows are.
        """
        if self.spec.normalise:
            z = z / _rms(z) * self.length
        if self.components is not None:
            z = z @ self.components
        x = z * self.scale + self.mean
        return x.sign() * x.square() if self.spec.transform == "sqrt" else x

    def _centred(self, x: Tensor) -> Tensor:
        x = _root(x.float(), self.spec)
        z: Tensor = (x - self.mean) * torch.where(self.scale > 0, 1 / self.scale, 0.0)
        return z if self.components is None else z @ self.components.T


def fit(x: np.ndarray, spec: PreparationSpec) -> Preparation:
    """Return the preprocessing fitted to training rows.

    Args:
        x: (n, dim_in) embeddings, any float type, may be memory-mapped; read in chunks, a few times.
        spec: what to do.
    """
    n, dim_in = x.shape
    dim = None if spec.components is None else max(1, min(spec.components, dim_in, n - 1))
    made = Preparation(spec, dim_in, dim)
    if spec.standardise:
        mean, scale = _moments(x, spec)
        made.mean.copy_(mean)
        made.scale.copy_(scale)
    if made.components is not None:
        made.components.copy_(_components(x, made))
    if spec.normalise:
        lengths = [_rms(made._centred(rows))[:, 0] for rows in _chunks(x)]
        made.length.copy_(torch.cat(lengths).median())
    return made


def transformed(
    made: Callable[[Tensor], Tensor], x: np.ndarray, device: str = "cpu"
) -> npt.NDArray[np.float32]:
    """Return float32 ``made(x)`` for rows that may be memory-mapped, a chunk at a time."""
    with torch.inference_mode():
        parts = [made(rows.to(device)).float().cpu().numpy() for rows in _chunks(x)]
    return np.concatenate(parts)


def _chunks(x: np.ndarray) -> Iterator[Tensor]:
    for start in range(0, max(1, len(x)), CHUNK):
        yield torch.from_numpy(np.array(x[start : start + CHUNK], dtype=np.float32))


def _root(x: Tensor, spec: PreparationSpec) -> Tensor:
    # With its sign, so that the way back is exact: components reach a little below a ReLU's zero.
    return x.sign() * x.abs().sqrt() if spec.transform == "sqrt" else x


def _rms(z: Tensor) -> Tensor:
    return z.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-12)


def _moments(x: np.ndarray, spec: PreparationSpec) -> tuple[Tensor, Tensor]:
    """Return mean and deviation a dimension, in two passes (one would cancel digits)."""
    total = torch.zeros(x.shape[1], dtype=torch.float64)
    for rows in _chunks(x):
        total += _root(rows, spec).double().sum(dim=0)
    mean = total / max(1, len(x))
    squares = torch.zeros_like(mean)
    for rows in _chunks(x):
        squares += (_root(rows, spec).double() - mean).square().sum(dim=0)
    scale = (squares / max(1, len(x))).sqrt()
    # A dimension that varies by rounding alone is constant, and says nothing about any class.
    return mean, torch.where(scale > 1e-6 * (mean.abs() + 1e-6), scale, 0.0)


def _components(x: np.ndarray, made: Preparation) -> Tensor:
    """Return the leading eigenvectors of the standardised rows' scatter, (dim, dim_in)."""
    kept, made.components = made.components, None
    assert kept is not None
    scatter = torch.zeros((made.dim_in, made.dim_in), dtype=torch.float64)
    for rows in _chunks(x):
        z = made._centred(rows).double()
        scatter += z.T @ z
    vectors = torch.linalg.eigh(scatter).eigenvectors.flip(1)[:, : made.dim].T
    # An eigenvector's sign is free: fix it, so that equal rows give equal components everywhere.
    strongest: Tensor = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    made.components = kept
    signed: Tensor = vectors * strongest.sign()
    return signed
