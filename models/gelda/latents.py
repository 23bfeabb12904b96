"""Between latents Z^(l) and what the flow models: fit, transform, invert.

z → standardised → whitened residual r = W g (z − m), m the mean of a row's cell. The flow then has to
learn only how a cell differs from the shared Gaussian; what few rows say about a cell's mean is a
matter of shrinkage (`centres`), not of a network.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from models.gelda.centres import centres
from models.gelda.moments import Moments, standardised, within
from models.gelda.rows import Members, Rows
from models.gelda.spec import LatentSpec


@dataclass(frozen=True)
class Latents:
    """A fitted model of the latents' first two moments; all tensors float32 on one device.

    Attributes:
        mean: (dim,) of the training rows.
        scale: (dim,) standard deviation; 0 where a dimension is constant, which it stays.
        means: (K, S, dim) means of the cells' standardised rows, from which residuals are taken.
        centres: (K, S, dim) the same, shrunk to what other cells predict; latents are drawn here.
        gain: (K, S) √(n/(n−1)): rows lie closer to a mean they take part in. 0 for fewer than 2.
        whiten: (dim, dim), r = whiten · (z − m).
        colour: (dim, dim), its inverse.
    """

    mean: Float[Tensor, " dim"]
    scale: Float[Tensor, " dim"]
    means: Float[Tensor, "k s dim"]
    centres: Float[Tensor, "k s dim"]
    gain: Float[Tensor, "k s"]
    whiten: Float[Tensor, "dim dim"]
    colour: Float[Tensor, "dim dim"]

    @property
    def n_subdomains(self) -> int:
        return self.means.shape[1]

    def transform(self, z: Float[Tensor, "n dim"], members: Members) -> Float[Tensor, "n dim"]:
        """Return the whitened residuals of training latents ``z``.

        A row of unknown class is taken from the mean of its subdomain's cells, weighted as its shares
        are; it took part in none of them, so its gain is 1.
        """
        classes, subdomains = members.classes, members.subdomains
        gain = self.gain[classes, subdomains]
        if members.known is not None:
            gain = torch.where(members.known, gain, 1.0)
        return gain[:, None] * self._whitened(z, self.means, members)

    def transform_new(self, z: Float[Tensor, "n dim"], members: Members) -> Float[Tensor, "n dim"]:
        """Return the whitened residuals of latents that took no part in the fit, from the centres."""
        return self._whitened(z, self.centres, members)

    def _whitened(self, z: Tensor, means: Tensor, members: Members) -> Tensor:
        return (standardised(z, self.mean, self.scale) - _at(means, members)) @ self.whiten.T

    def inverse(self, r: Float[Tensor, "n dim"], members: Members) -> Float[Tensor, "n dim"]:
        """Return latents for residuals ``r`` around the centres of their cells."""
        z = r @ self.colour.T + _at(self.centres, members)
        return z * self.scale + self.mean

    def tensors(self) -> dict[str, Tensor]:
        """Return the fitted tensors by name, the constructor's arguments."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def to(self, device: str) -> "Latents":
        return Latents(**{k: v.to(device) for k, v in self.tensors().items()})


def _at(means: Float[Tensor, "k s dim"], members: Members) -> Float[Tensor, "n dim"]:
    """Return the mean of each row's cell, or of its cells by its shares of the classes."""
    if members.weights is None:
        return means[members.classes, members.subdomains]
    result = means.new_empty(len(members.classes), means.shape[2])
    for subdomain in torch.unique(members.subdomains).tolist():
        rows = members.subdomains == subdomain
        result[rows] = members.weights[rows] @ means[:, subdomain]
    return result


def fit(
    rows: Rows, moments: Moments, related: Tensor, related_subdomains: Tensor, spec: LatentSpec
) -> tuple[Latents, str | None]:
    """Return the fit, and the kind of estimate that stands behind scarce classes (None: none does).

    Args:
        rows: the training rows, which are read once more.
        moments: of these rows.
        related: (K, K) cosines between class vectors; the unit matrix where nothing is known.
        related_subdomains: (S, S) the same for subdomains.
        spec: what is modelled and how much shrinkage.
    """
    (k, s), dim = moments.counts.shape, len(moments.mean)
    if spec.model == "direct":
        zeros, eye = torch.zeros(k, s, dim), torch.eye(dim)
        same = (zeros, zeros.clone(), torch.ones(k, s), eye, eye.clone())
        return Latents(moments.mean.float(), moments.scale.float(), *same), None
    S = within(rows, moments)
    whiten, colour = _whitening(S)
    found = centres(
        moments, S, related, related_subdomains, shrinkage=spec.shrinkage, kind=spec.estimate
    )
    n = moments.counts
    gain = torch.where(n > 1, (n / (n - 1).clamp(min=1)).sqrt(), 0.0)
    parts = (moments.mean, moments.scale, found.residual, found.drawn, gain, whiten, colour)
    return Latents(*(part.float() for part in parts)), found.estimate


def _whitening(S: Tensor) -> tuple[Tensor, Tensor]:
    """Return S^{−1/2} and S^{1/2}, symmetric."""
    values, vectors = torch.linalg.eigh(S)
    deviations = values.clamp(min=1e-10).sqrt()
    return (vectors / deviations) @ vectors.T, (vectors * deviations) @ vectors.T
