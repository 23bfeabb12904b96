"""Classifier heads on latents Z^(l): linear, cosine, one hidden layer; above an adapter's blocks or not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.classifiers.spec import HeadSpec
from models.front.blocks import AdapterBlock
from models.front.preparation import transformed

COSINE_SCALE = 16.0
"""Initial factor on the cosines, learned from there (Gidaris & Komodakis 2018, equation 4)."""


@dataclass(frozen=True)
class Base:
    """Where the weights of a linear head come from while it is trained: W = W₀ + L U, b = b₀ + β.

    The penalty is on U and β alone, so that it pulls towards W₀ and, where L is the root of a
    covariance between classes, gives the weights of all classes one Gaussian prior together.

    Attributes:
        weight: W₀, (classes, dim).
        bias: b₀, (classes,).
        root: L, lower triangular (classes, classes); None is the identity.
    """

    weight: Tensor
    bias: Tensor
    root: Tensor | None

    def to(self, device: torch.device | str) -> Self:
        root = None if self.root is None else self.root.to(device)
        return type(self)(self.weight.to(device), self.bias.to(device), root)


class HeadNetwork(nn.Module):
    """Latents `batch dim` to logits `batch classes`.

    Attributes:
        blocks: the adapter's blocks above l, fine-tuned with the head.
        base: while a linear head is trained; `fold` ends that.
    """

    def __init__(
        self, dim: int, n_classes: int, head: str, hidden: int, blocks: Sequence[AdapterBlock] = ()
    ) -> None:
        super().__init__()
        self.kind = head
        self.base: Base | None = None
        self.blocks = nn.ModuleList(blocks)
        width = hidden if head == "mlp" else dim
        self.body: nn.Linear | None = None
        if head == "mlp":
            # Made without weights: nn.Linear would draw them from the global generator.
            self.body = nn.Linear(dim, hidden, device="meta").to_empty(device="cpu")
        self.weight = nn.Parameter(torch.zeros(n_classes, width))
        if head == "cosine":
            self.log_scale = nn.Parameter(torch.tensor(math.log(COSINE_SCALE)))
        else:
            self.bias = nn.Parameter(torch.zeros(n_classes))

    @property
    def linear(self) -> bool:
        """Whether the logits are a linear map of the blocks' last state."""
        return self.kind in {"linear", "kernel"}

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights from `generator` alone; a linear head starts at its base, or at zero."""
        if self.body is not None:
            nn.init.kaiming_normal_(self.body.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(self.body.bias)
        if self.kind == "cosine":
            # Of unit length: the longer a weight, the less a step of Adam turns it.
            nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5, generator=generator)

    def weights(self) -> tuple[Tensor, Tensor]:
        """W and b of a linear head, or of an `mlp` head's last layer."""
        if self.base is None:
            return self.weight, self.bias
        own = self.weight if self.base.root is None else self.base.root @ self.weight
        return self.base.weight + own, self.base.bias + self.bias

    @torch.no_grad()
    def fold(self) -> None:
        """Make a linear head's parameters its weights themselves."""
        if self.base is not None:
            weight, bias = self.weights()
            self.weight.copy_(weight)
            self.bias.copy_(bias)
            self.base = None

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return logits; ``generator`` draws the blocks' dropout, in training only."""
        for block in self.blocks:
            z = block(z, generator)
        if self.kind == "cosine":
            cosine = functional.linear(
                functional.normalize(z, dim=-1), functional.normalize(self.weight, dim=-1)
            )
            return self.log_scale.exp() * cosine
        if self.body is not None:
            z = functional.relu(self.body(z))
        return functional.linear(z, *self.weights())


class Head:
    """A trained head on latents Z^(l), ready to predict.

    Attributes:
        network: the weights, on the CPU or on a device.
        dim: values a latent.
        n_classes: logits a row.
        spec: how it was made.
        classes: names in the order of the logits, where they are known.
    """

    def __init__(
        self,
        network: HeadNetwork,
        *,
        dim: int,
        n_classes: int,
        spec: HeadSpec,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.network = network.eval()
        self.dim = dim
        self.n_classes = n_classes
        self.spec = spec
        self.classes = tuple(classes) if classes is not None else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.weight.device

    @property
    def config(self) -> dict[str, Any]:
        """What `restore` needs beside the tensors, as JSON."""
        return {
            "dim": self.dim,
            "n_classes": self.n_classes,
            "classes": list(self.classes) if self.classes is not None else None,
            "spec": self.spec.model_dump(mode="json"),
            "widths": [block.into.out_features for block in self.network.blocks],  # type: ignore[union-attr]
        }

    @classmethod
    def restore(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        """Return the head of `config` and of its network's `state_dict`."""
        spec, dim = HeadSpec.model_validate(config["spec"]), config["dim"]
        blocks = [AdapterBlock(dim, width) for width in config["widths"]]
        network = HeadNetwork(dim, config["n_classes"], spec.head, spec.hidden, blocks)
        network.load_state_dict(tensors)
        made = {"n_classes": config["n_classes"], "spec": spec, "classes": config["classes"]}
        return cls(network, dim=dim, **made)

    def logits(self, z: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """float32 `n classes` for latents `n dim`, which may be memory-mapped."""
        return transformed(self.network, z, str(self.device))

    def predict(self, z: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """The likeliest class of each row, int64 `n`."""
        return np.asarray(self.logits(z).argmax(axis=1), dtype=np.int64)
