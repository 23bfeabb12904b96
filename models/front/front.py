"""What is frozen while a generator is trained: preprocessing and the adapter's blocks up to l."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.front.blocks import AdapterBlock
from models.front.preparation import Preparation
from models.front.spec import PreparationSpec


class Front(nn.Module):
    """The caller's embeddings to Z^(l), l = the number of blocks.

    Attributes:
        dim_in: dimensions of an embedding.
        dim: dimensions of Z^(l), the same for every l.
        layer: l.
    """

    def __init__(self, preparation: Preparation, blocks: Sequence[AdapterBlock] = ()) -> None:
        super().__init__()
        self.preparation = preparation
        self.blocks = nn.ModuleList(blocks)
        self.dim_in, self.dim, self.layer = preparation.dim_in, preparation.dim, len(blocks)

    @classmethod
    def identity(cls, dim: int) -> Self:
        """Return the front that changes nothing."""
        return cls(Preparation(PreparationSpec(standardise=False), dim))

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "n dim_in"]) -> Float[Tensor, "n dim"]:
        """Return Z^(l), float32, without gradients."""
        z: Tensor = self.preparation(x)
        for block in self.blocks:
            z = block(z)
        return z

    @property
    def invertible(self) -> bool:
        """Whether latents can be handed out as embeddings: an adapter's blocks have no way back."""
        return self.layer == 0

    def inverse(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim_in"]:
        """Return embeddings of latents.

        Raises:
            ValueError: there are blocks.
        """
        if not self.invertible:
            raise ValueError(f"Z^({self.layer}) cannot be turned back into embeddings")
        embeddings: Tensor = self.preparation.inverse(z)
        return embeddings

    @property
    def config(self) -> dict[str, Any]:
        """What `restore` needs beside the tensors, as JSON."""
        widths = [block.into.out_features for block in self.blocks]  # type: ignore[union-attr]
        return {
            "preparation": self.preparation.spec.model_dump(mode="json"),
            "dim_in": self.dim_in,
            "dim": self.dim,
            "widths": widths,
        }

    @classmethod
    def restore(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        """Return the front of `config` and `state_dict`."""
        spec = PreparationSpec.model_validate(config["preparation"])
        blocks = [AdapterBlock(config["dim"], width) for width in config["widths"]]
        front = cls(Preparation(spec, config["dim_in"], config["dim"]), blocks)
        front.load_state_dict(tensors)
        return front.eval()
