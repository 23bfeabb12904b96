"""What a job hands out: a classifier on the caller's own embeddings, preparation and blocks inside."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from models.checkpoints import load_model, save_model
from models.classifiers.head import Head
from models.classifiers.spec import HeadSpec
from models.front.front import Front
from models.front.preparation import transformed

FORMAT = "cultivar-classifier/1"
NAME = "classifier"


class Classifier:
    """A head on Z^(l), and the front that makes Z^(l) of embeddings.

    Attributes:
        front: preparation and the adapter's blocks up to l, frozen.
        head: the adapter's blocks above l and the head.
        dim: values an embedding.
    """

    def __init__(self, front: Front, head: Head) -> None:
        if front.dim != head.dim:
            raise ValueError(f"a head on {head.dim} dimensions does not fit latents of {front.dim}")
        self.front, self.head = front.to(head.device).eval(), head
        self.dim = front.dim_in

    @property
    def n_classes(self) -> int:
        return self.head.n_classes

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names in the order of the logits, where they are known."""
        return self.head.classes

    @property
    def spec(self) -> HeadSpec:
        """How the head was made."""
        return self.head.spec

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` holds: enough to rebuild the classifier around its weights.

        `dim` is of embeddings; `layer` is l.
        """
        head = self.head.config
        shown = {name: head.pop(name) for name in ("n_classes", "classes", "spec")}
        return shown | {
            "format": FORMAT,
            "dim": self.dim,
            "layer": self.front.layer,
            "front": self.front.config,
            "head": head,
        }

    def logits(self, x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """float32 `n classes` for embeddings `n dim`, which may be memory-mapped."""

        def logits(rows: Tensor) -> Tensor:
            found: Tensor = self.head.network(self.front(rows))
            return found

        return transformed(logits, x, str(self.head.device))

    def predict(self, x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """The likeliest class of each row, int64 `n`."""
        return np.asarray(self.logits(x).argmax(axis=1), dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write `classifier.safetensors` and `config.json`; each appears whole."""
        tensors = {
            f"{part}.{name}": tensor
            for part, module in (("front", self.front), ("head", self.head.network))
            for name, tensor in module.state_dict().items()
        }
        save_model(folder, NAME, tensors, self.config)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The classifier that `save` wrote.

        Raises:
            ValueError: the folder holds another format.
        """
        tensors, config = load_model(folder, NAME, "cpu")
        if config.get("format") != FORMAT:
            raise ValueError(
                f"expected a classifier of format {FORMAT}, found {config.get('format')!r}"
            )
        shown = {name: config[name] for name in ("n_classes", "classes", "spec")}
        front = Front.restore(config["front"], _under("front.", tensors))
        head = Head.restore(config["head"] | shown, _under("head.", tensors))
        head.network.to(device)
        return cls(front, head)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
