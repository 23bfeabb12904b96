"""Classifier heads on latents: linear, cosine and one hidden layer, with their standardisation."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoints import load_model, save_model
from models.classifiers.spec import HeadSpec

FORMAT = "cultivar-head/1"

COSINE_SCALE = 16.0
"""Initial factor on the cosines, learned from there (Gidaris & Komodakis 2018, equation 4)."""

ROWS_A_PASS = 16_384
"""Rows through the network at once when it predicts: bounds memory, changes no result."""


class HeadNetwork(nn.Module):
    """Standardise, then classify: latents `batch dim` to logits `batch classes`."""

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, n_classes: int, head: str, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.kind = head
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

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights from `generator` alone; a linear head is convex and starts at zero."""
        if self.body is not None:
            nn.init.kaiming_normal_(self.body.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(self.body.bias)
        if self.kind == "cosine":
            # Of unit length: the longer a weight, the less a step of Adam turns it.
            nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        z = (x - self.mean) / self.scale
        if self.kind == "cosine":
            cosine = functional.linear(
                functional.normalize(z, dim=-1), functional.normalize(self.weight, dim=-1)
            )
            return self.log_scale.exp() * cosine
        if self.body is not None:
            z = functional.relu(self.body(z))
        return functional.linear(z, self.weight, self.bias)


class Head:
    """A trained head, ready to predict.

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
    def config(self) -> dict[str, Any]:
        """What `config.json` holds: enough to rebuild the network around its weights."""
        return {
            "format": FORMAT,
            "dim": self.dim,
            "n_classes": self.n_classes,
            "classes": list(self.classes) if self.classes is not None else None,
            "spec": self.spec.model_dump(mode="json"),
        }

    @torch.inference_mode()
    def logits(self, x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """float32 `n classes` for latents `n dim`, which may be memory-mapped."""
        device = self.network.weight.device
        out = np.empty((len(x), self.n_classes), dtype=np.float32)
        for start in range(0, len(x), ROWS_A_PASS):
            rows = np.array(x[start : start + ROWS_A_PASS], dtype=np.float32)
            out[start : start + len(rows)] = self.network(torch.from_numpy(rows).to(device)).cpu()
        return out

    def predict(self, x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """The likeliest class of each row, int64 `n`."""
        return np.asarray(self.logits(x).argmax(axis=1), dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write `head.safetensors` and `config.json`; each appears whole."""
        save_model(folder, "head", self.network.state_dict(), self.config)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The head that `save` wrote.

        Raises:
            ValueError: the folder holds another format.
        """
        weights, config = load_model(folder, "head", device)
        if config.get("format") != FORMAT:
            raise ValueError(f"expected a head of format {FORMAT}, found {config.get('format')!r}")
        spec = HeadSpec.model_validate(config["spec"])
        network = HeadNetwork(config["dim"], config["n_classes"], spec.head, spec.hidden)
        network.to(device).load_state_dict(weights)
        return cls(
            network,
            dim=config["dim"],
            n_classes=config["n_classes"],
            spec=spec,
            classes=config["classes"],
        )
