"""Training rows as a generator sees them: latents Z^(l), never all embeddings at once.

A *cell* is a class in a subdomain, numbered class · S + subdomain; without subdomains S is 1 and a
cell is a class.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.front.front import Front

CHUNK = 8192
"""Rows read at once, so that memory-mapped embeddings never have to fit into memory."""

KEPT_BYTES = 256 << 20
"""Latents up to this size are made once and kept; more are made anew for every batch."""

UNLABELLED = -1
"""The label of a row whose class is not known."""


@dataclass(frozen=True)
class Members:
    """Where rows belong.

    Attributes:
        classes: (n,) class indices; 0 stands in where the class is not known.
        subdomains: (n,) subdomain indices, 0 without subdomains.
        known: (n,) whether the class is known; None where it always is.
        weights: (n, K) shares of the classes, which go before ``classes``; None as for ``known``.
    """

    classes: Int[Tensor, " n"]
    subdomains: Int[Tensor, " n"]
    known: Bool[Tensor, " n"] | None = None
    weights: Float[Tensor, "n k"] | None = None

    @classmethod
    def of_cells(cls, cells: Int[Tensor, " n"], n_subdomains: int) -> "Members":
        """Return the members of cells given by number."""
        return cls(cells // n_subdomains, cells % n_subdomains)

    def part(self, rows: slice) -> "Members":
        """Return some of the rows."""
        if self.known is None or self.weights is None:
            return Members(self.classes[rows], self.subdomains[rows])
        return Members(
            self.classes[rows], self.subdomains[rows], self.known[rows], self.weights[rows]
        )


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Embeddings and where they belong, behind a front.

    Attributes:
        x: (n, dim_in) embeddings, any float type, may be memory-mapped.
        y: (n,) class indices; −1 where the class is not known.
        subdomain: (n,) subdomain indices; zeros without subdomains.
        front: what makes latents of them, on the device to train on.
        n_classes: K.
        n_subdomains: S, 1 without subdomains.
        posterior: (rows with y = −1, K) shares of the classes in those rows, in their order.
    """

    x: np.ndarray
    y: np.ndarray
    subdomain: np.ndarray
    front: Front
    n_classes: int
    n_subdomains: int = 1
    posterior: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def cells(self) -> np.ndarray:
        """(n,) cell numbers; −1 where the class is not known."""
        return np.where(self.y < 0, UNLABELLED, self.y * self.n_subdomains + self.subdomain)

    @cached_property
    def counts(self) -> np.ndarray:
        """(K·S,) labelled rows a cell."""
        known = self.cells[self.cells >= 0]
        return np.bincount(known, minlength=self.n_classes * self.n_subdomains)

    @cached_property
    def _place(self) -> np.ndarray:
        """Row of the posterior that belongs to each unlabelled row."""
        return np.cumsum(self.y < 0) - 1

    @property
    def device(self) -> torch.device:
        return self.front.preparation.mean.device

    def latents(self, rows: np.ndarray | slice) -> Float[Tensor, "n dim"]:
        """Return Z^(l) of these rows, float32, on the front's device."""
        return self._through(rows) if self._kept is None else self._kept[rows]

    @cached_property
    def _kept(self) -> Tensor | None:
        """All latents, where they are few: in a short training the front costs as much as the flow."""
        if 4 * len(self.x) * self.front.dim > KEPT_BYTES:
            return None
        return torch.cat([self._through(part) for part in self._parts()])

    def _through(self, rows: np.ndarray | slice) -> Tensor:
        x = torch.from_numpy(np.array(self.x[rows], dtype=np.float32))
        z: Tensor = self.front(x.to(self.device))
        return z

    def _parts(self) -> Iterator[slice]:
        for start in range(0, len(self.x), CHUNK):
            yield slice(start, start + CHUNK)

    def members(self, rows: np.ndarray | slice) -> Members:
        """Return where these rows belong, on the front's device."""
        y = torch.from_numpy(self.y[rows]).to(self.device)
        subdomains = torch.from_numpy(self.subdomain[rows]).to(self.device)
        if self.posterior is None:
            return Members(y, subdomains)
        known, classes = y >= 0, y.clamp(min=0)
        weights = torch.nn.functional.one_hot(classes, self.n_classes).float()
        shares = self.posterior[self._place[rows][self.y[rows] < 0]]
        weights[~known] = torch.from_numpy(np.asarray(shares, dtype=np.float32)).to(weights)
        return Members(classes, subdomains, known, weights)

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "n dim"]]]:
        """Yield all latents, float64 on the CPU, in order, with the rows that they are of."""
        for part in self._parts():
            yield part, self.latents(part).cpu().double()
