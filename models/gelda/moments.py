"""Counts, means and covariance of training latents by cell, in three readings of the rows.

Covariance: oracle approximating shrinkage (Chen, Wiesel, Eldar & Hero 2010, equation 23).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.gelda.rows import Rows


@dataclass(frozen=True)
class Unlabelled:
    """What is known of rows without a label, by subdomain; float64.

    Attributes:
        counts: (S,) such rows.
        means: (S, dim) of the standardised rows; 0 where there are none.
        mixtures: (S, K) mean shares of the classes in them.
    """

    counts: Float[Tensor, " s"]
    means: Float[Tensor, "s dim"]
    mixtures: Float[Tensor, "s k"]


@dataclass(frozen=True)
class Moments:
    """First moments of the rows; float64 on the CPU.

    Attributes:
        mean: (dim,) of all rows, the unlabelled ones included.
        scale: (dim,) standard deviation; 0 where a dimension is constant.
        counts: (K, S) labelled rows a cell.
        means: (K, S, dim) of the standardised labelled rows; 0 where a cell has none.
        unlabelled: the same of the others.
    """

    mean: Float[Tensor, " dim"]
    scale: Float[Tensor, " dim"]
    counts: Float[Tensor, "k s"]
    means: Float[Tensor, "k s dim"]
    unlabelled: Unlabelled

    @classmethod
    def of(cls, rows: Rows) -> "Moments":
        """Read ``rows`` twice: in one reading, squares would cancel digits."""
        total = torch.zeros(rows.front.dim, dtype=torch.float64)
        for _, z in rows.chunks():
            total += z.sum(dim=0)
        mean = total / len(rows)
        sums = _Sums(rows)
        for part, z in rows.chunks():
            sums.add(part, z - mean)
        scale = (sums.squares / len(rows)).sqrt()
        # A dimension that varies by rounding alone is constant.
        scale = torch.where(scale > 1e-6 * (mean.abs() + 1e-6), scale, 0.0)
        return sums.moments(mean, scale)

    @property
    def subdomain_means(self) -> Float[Tensor, "s dim"]:
        """Mean of each subdomain's standardised rows, labelled or not; 0 where there are none."""
        sums = (self.counts[:, :, None] * self.means).sum(dim=0)
        sums += self.unlabelled.counts[:, None] * self.unlabelled.means
        return sums / self.subdomain_counts.clamp(min=1)[:, None]

    @property
    def subdomain_counts(self) -> Float[Tensor, " s"]:
        """Rows of each subdomain, labelled or not."""
        return self.counts.sum(dim=0) + self.unlabelled.counts

    def standardise(self, z: Tensor) -> Tensor:
        return standardised(z, self.mean, self.scale)


class _Sums:
    """Running sums of centred latents."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        k, s, dim = rows.n_classes, rows.n_subdomains, rows.front.dim
        self.squares = torch.zeros(dim, dtype=torch.float64)
        self._cells = torch.zeros(k * s, dim, dtype=torch.float64)
        self._unlabelled = torch.zeros(s, dim, dtype=torch.float64)
        self._mixtures = torch.zeros(s, k, dtype=torch.float64)

    def add(self, part: slice, z: Tensor) -> None:
        rows = self._rows
        self.squares += z.square().sum(dim=0)
        cells = torch.from_numpy(rows.cells[part])
        known = cells >= 0
        self._cells.index_add_(0, cells[known], z[known])
        weights = rows.members(part).weights
        if weights is not None:
            subdomains = torch.from_numpy(rows.subdomain[part])[~known]
            self._unlabelled.index_add_(0, subdomains, z[~known])
            self._mixtures.index_add_(0, subdomains, weights.cpu().double()[~known])

    def moments(self, mean: Tensor, scale: Tensor) -> Moments:
        rows = self._rows
        inverse = torch.where(scale > 0, 1 / scale, 0.0)
        counts = torch.from_numpy(rows.counts).double()
        unknown = rows.subdomain[rows.y < 0]
        others = torch.from_numpy(np.bincount(unknown, minlength=rows.n_subdomains)).double()
        n = others.clamp(min=1)[:, None]
        means = self._cells * inverse / counts.clamp(min=1)[:, None]
        shape = (rows.n_classes, rows.n_subdomains)
        return Moments(
            mean,
            scale,
            counts.view(shape),
            means.view(*shape, -1),
            Unlabelled(others, self._unlabelled * inverse / n, self._mixtures / n),
        )


def within(rows: Rows, moments: Moments) -> Float[Tensor, "dim dim"]:
    """Return the shrunk pooled covariance of the labelled rows within cells; the third reading.

    Where no cell has two rows, nothing is known about the spread within one; the spread of all rows
    stands in for it.
    """
    means = moments.means.flatten(0, 1)
    freedom = float((moments.counts - 1).clamp(min=0).sum())
    if freedom == 0:
        means, freedom = torch.zeros_like(means), float(moments.counts.sum())
    scatter = torch.zeros((means.shape[1], means.shape[1]), dtype=torch.float64)
    for part, z in rows.chunks():
        cells = torch.from_numpy(rows.cells[part])
        known = cells >= 0
        residual = moments.standardise(z[known]) - means[cells[known]]
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


def standardised(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Return (z − mean) / scale, 0 where a dimension is constant."""
    return (z - mean) * torch.where(scale > 0, 1 / scale, 0.0)
