"""The condition u: class vectors, embedded to the network's width, or nothing at all.

Ho & Salimans 2022, *Classifier-Free Diffusion Guidance*: the condition is dropped in training so
that the same network also knows the unconditional flow.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class Conditioning(nn.Module):
    """Labels to embedded conditions.

    Args:
        n_classes: how many classes there are.
        width: units of the result.
        vectors: a vector a class that carries semantics; None learns a free vector a class.
    """

    def __init__(self, n_classes: int, width: int, vectors: Tensor | None) -> None:
        super().__init__()
        if vectors is None:
            self.table = nn.Embedding(n_classes, width)
            nn.init.normal_(self.table.weight, std=1 / math.sqrt(width))
            self.project: nn.Module = nn.Identity()
        else:
            # Directions carry the semantics; lengths differ between sources and mean nothing here.
            unit = torch.nn.functional.normalize(vectors.float(), dim=-1)
            self.table = nn.Embedding(len(unit), unit.shape[1])
            self.table.weight = nn.Parameter(unit, requires_grad=False)
            self.project = nn.Linear(unit.shape[1], width)
        self.null = nn.Parameter(torch.zeros(width))

    def forward(
        self, labels: Int[Tensor, " n"], dropped: Bool[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n width"]:
        """Return the embedded condition of each label; the null condition where ``dropped``."""
        u: Tensor = self.project(self.table(labels))
        if dropped is None:
            return u
        return torch.where(dropped[:, None], self.null, u)

    def none(self, n: int) -> Float[Tensor, "n width"]:
        """Return the null condition ``n`` times."""
        return self.null.expand(n, -1)


def similarity(vectors: Float[Tensor, "k m"]) -> Float[Tensor, "k k"]:
    """Return the cosines between class vectors, in [-1, 1]."""
    unit = torch.nn.functional.normalize(vectors.double(), dim=-1)
    return unit @ unit.T
