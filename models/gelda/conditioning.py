"""The condition u(γ, κ): class vector γ and subdomain vector κ, each of which may be left out.

u is the sum of their two projections, which is the linear map of their concatenation. Ho & Salimans
2022, *Classifier-Free Diffusion Guidance*: conditions are dropped in training so that the same
network also knows the flow without them; dropped one by one, it knows the flow given either alone.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.gelda.rows import Members

LEARNED_STD = 0.5
"""Of the units of a learned vector at the start. At a fifth of it, classes are told apart too slowly:
after 250 steps on photos, cells drawn from learned vectors are worth a point less than from one-hot
ones; at this size as much."""


class Vectors(nn.Module):
    """One kind of condition, projected to the network's width.

    Args:
        n: how many classes, or subdomains, there are.
        width: units of the result.
        vectors: a vector each that carries semantics; None learns a free vector each.
    """

    def __init__(self, n: int, width: int, vectors: Tensor | None) -> None:
        super().__init__()
        if vectors is None:
            self.table = nn.Embedding(n, width)
            nn.init.normal_(self.table.weight, std=LEARNED_STD)
            self.project: nn.Module = nn.Identity()
        else:
            # Directions carry the semantics; lengths differ between sources and mean nothing here.
            unit = torch.nn.functional.normalize(vectors.float(), dim=-1)
            self.table = nn.Embedding(len(unit), unit.shape[1])
            self.table.weight = nn.Parameter(unit, requires_grad=False)
            self.project = nn.Linear(unit.shape[1], width)
        self.null = nn.Parameter(torch.zeros(width))

    def forward(
        self,
        numbers: Int[Tensor, " n"],
        weights: Float[Tensor, "n k"] | None,
        dropped: Bool[Tensor, " n"] | None,
    ) -> Float[Tensor, "n width"]:
        """Return the projected vectors, averaged by ``weights`` if given, null where ``dropped``."""
        vectors = self.table(numbers) if weights is None else weights @ self.table.weight
        u: Tensor = self.project(vectors)
        return u if dropped is None else torch.where(dropped[:, None], self.null, u)


class Conditioning(nn.Module):
    """Members of cells to embedded conditions.

    Args:
        n_classes: how many classes there are.
        n_subdomains: how many subdomains there are; 0 conditions on classes alone.
        width: units of the result.
        vectors: (K, m) class vectors; None learns them.
        subdomain_vectors: (S, m') subdomain vectors; None learns them.
    """

    def __init__(
        self,
        n_classes: int,
        n_subdomains: int,
        width: int,
        vectors: Tensor | None,
        subdomain_vectors: Tensor | None,
    ) -> None:
        super().__init__()
        self.n_cells = n_classes * max(1, n_subdomains)
        self.classes = Vectors(n_classes, width, vectors)
        self.subdomains = (
            Vectors(n_subdomains, width, subdomain_vectors) if n_subdomains > 0 else None
        )

    def forward(
        self,
        members: Members,
        class_dropped: Bool[Tensor, " n"] | None = None,
        subdomain_dropped: Bool[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n width"]:
        """Return u of each row, without the conditions that are dropped."""
        u: Tensor = self.classes(members.classes, members.weights, class_dropped)
        if self.subdomains is None:
            return u
        kappa: Tensor = self.subdomains(members.subdomains, None, subdomain_dropped)
        return u + kappa

    def none(self) -> Float[Tensor, "1 width"]:
        """Return the condition with everything left out."""
        if self.subdomains is None:
            return self.classes.null[None, :]
        return (self.classes.null + self.subdomains.null)[None, :]


def similarity(vectors: Float[Tensor, "k m"]) -> Float[Tensor, "k k"]:
    """Return the cosines between vectors, in [-1, 1]."""
    unit = torch.nn.functional.normalize(vectors.double(), dim=-1)
    return unit @ unit.T
