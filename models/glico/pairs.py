"""Which training images a synthetic one is made of, and in which shares."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.glico.spec import InterpolationSpec


@dataclass(frozen=True)
class Mix:
    """Parents of k images: numbers of training images `k p`, the first one the base, and their shares."""

    parents: Int[Tensor, "k p"]
    weights: Float[Tensor, "k p"]


class Members:
    """The training images of each class, so that partners are found without a loop."""

    def __init__(self, y: npt.NDArray[np.int64], n_classes: int, device: str = "cpu") -> None:
        order = np.argsort(y, kind="stable")
        counts = np.bincount(y, minlength=n_classes)
        starts = np.cumsum(counts) - counts
        rank = np.empty(len(y), dtype=np.int64)
        rank[order] = np.arange(len(y)) - starts[y[order]]
        self.y, self._order, self.counts, self._starts, self._rank = (
            torch.from_numpy(np.ascontiguousarray(array)).to(device)
            for array in (y.astype(np.int64), order, counts, starts, rank)
        )

    def base(self, labels: Int[Tensor, " k"], counters: Int[Tensor, " k"]) -> Int[Tensor, " k"]:
        """Return the base image of each item: a class's images in turn."""
        return self._order[self._starts[labels] + counters % self.counts[labels].clamp_min(1)]

    def mix(
        self, rows: Int[Tensor, " k"], uniform: Float[Tensor, "k u"], spec: InterpolationSpec
    ) -> Mix:
        """Return partners of the same class, all different, and shares.

        The base has share 1 - t with t ~ U(low, high); the partners have t between them, in parts that
        are uniform over the simplex. Where a class has fewer images than parents are asked for, the
        places left over repeat the base with share 0, and an image alone in its class stands for itself. Without a
        path the base has all of it.

        Args:
            rows: numbers of the base images.
            uniform: numbers of [0, 1), as many columns as `columns` says.
            spec: how many parents, and the range of t.
        """
        partners, others = spec.parents - 1, self.counts[self.y[rows]] - 1
        if spec.path == "none":
            others = torch.zeros_like(others)
        t = spec.low + (spec.high - spec.low) * uniform[:, 0]
        picked = [self._rank[rows]]
        shares = []
        for number in range(partners):
            left = others - number
            pick = (uniform[:, 1 + number] * left.clamp_min(1)).long()
            pick = torch.minimum(pick, left.clamp_min(1) - 1)
            # Count past those that are taken, from the lowest up: the rest stays equally likely.
            for taken in torch.stack(picked).sort(dim=0).values:
                pick = pick + (pick >= taken)
            there = left > 0
            picked.append(torch.where(there, pick, self._rank[rows]))
            part = -torch.log1p(-uniform[:, 1 + partners + number])
            shares.append(torch.where(there, part.clamp_min(1e-12), torch.zeros_like(part)))
        part = torch.stack(shares, dim=1)
        total = part.sum(dim=1, keepdim=True)
        part = t.unsqueeze(1) * part / total.clamp_min(1e-30)
        weights = torch.cat([1 - part.sum(dim=1, keepdim=True), part], dim=1)
        start = self._starts[self.y[rows]]
        parents = torch.stack([self._order[start + rank] for rank in picked], dim=1)
        return Mix(parents, weights)


def columns(spec: InterpolationSpec) -> int:
    """Return how many uniform numbers decide parents and shares of one image."""
    return 1 + 2 * (spec.parents - 1)
