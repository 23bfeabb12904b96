"""What a job hands out: a classifier on images, their normalisation inside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from models.checkpoints import load_model, save_model
from models.images.networks import ImageNetwork, make_network
from models.images.spec import ImageClassifierSpec

FORMAT = "cultivar-image-classifier/1"
NAME = "classifier"

PIXELS_AT_ONCE = 256 * 32 * 32
"""Pixels of the images that go through a network together, where nothing is learnt."""

Images = npt.NDArray[np.uint8]


class Normalised(nn.Module):
    """A network, and the normalisation by channel of what it reads: pixels to logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: ImageNetwork, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def inputs(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return what the network reads of images in [0, 1]."""
        return (images - self.mean[:, None, None]) / self.std[:, None, None]

    def of_pixels(self, x: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
        """Return what the network reads of pixels."""
        return self.inputs(x.permute(0, 3, 1, 2).float() / 255)

    def forward(self, x: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n k"]:
        """Return logits of pixels."""
        logits: Tensor = self.network(self.of_pixels(x))
        return logits


class ImageClassifier:
    """A trained classifier on images, ready to predict.

    Attributes:
        model: the network and the normalisation before it, in evaluation mode.
        classes: names in the order of the logits; empty where they are not known.
        n_classes: logits an image.
        side: of the square images that it reads, in pixels.
        spec: what it is and how it was trained.
        history: step and mean loss since the last, along the training.
    """

    def __init__(
        self,
        model: Normalised,
        *,
        classes: Sequence[str],
        side: int,
        spec: ImageClassifierSpec,
        history: Sequence[tuple[int, float]] = (),
    ) -> None:
        self.model = model.eval()
        self.n_classes = model.network.linear.out_features
        if classes and len(classes) != self.n_classes:
            raise ValueError(f"{len(classes)} names do not fit {self.n_classes} logits")
        self.classes = tuple(classes)
        self.side = side
        self.spec = spec
        self.history = list(history)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.mean.device

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` holds: enough to rebuild the classifier around its weights."""
        return {
            "format": FORMAT,
            "classes": list(self.classes),
            "n_classes": self.n_classes,
            "side": self.side,
            "spec": self.spec.model_dump(mode="json"),
            "backbone": self.model.network.config,
            "history": self.history,
        }

    def logits(self, x: Images) -> npt.NDArray[np.float32]:
        """float32 `n classes` for uint8 images `n side side 3`.

        Raises:
            ValueError: images of another shape or type.
        """
        return self._through(self.model, x, self.n_classes)

    def features(self, x: Images) -> npt.NDArray[np.float32]:
        """float32 `n dim`, what the last linear layer reads of such images."""
        network = self.model.network

        def features(rows: Tensor) -> Tensor:
            return network.features(self.model.of_pixels(rows))

        return self._through(features, x, network.dim)

    def predict(self, x: Images) -> npt.NDArray[np.int64]:
        """The likeliest class of each image, int64 `n`."""
        return np.asarray(self.logits(x).argmax(axis=1), dtype=np.int64)

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write `classifier.safetensors` and `config.json`; each appears whole. Return both."""
        return save_model(folder, NAME, self.model.state_dict(), self.config)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The classifier that `save` wrote; nothing but its folder is needed, backbone or not.

        Raises:
            ValueError: the folder holds another format.
        """
        tensors, config = load_model(folder, NAME, "cpu")
        if config.get("format") != FORMAT:
            raise ValueError(
                f"expected a classifier of format {FORMAT}, found {config.get('format')!r}"
            )
        spec = ImageClassifierSpec.model_validate(config["spec"])
        model = Normalised(_untrained(spec, config), tensors["mean"], tensors["std"])
        model.load_state_dict(tensors)
        return cls(
            model.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
            classes=config["classes"],
            side=config["side"],
            spec=spec,
            history=[(int(step), float(loss)) for step, loss in config["history"]],
        )

    def _through(self, layers: Any, x: Images, width: int) -> npt.NDArray[np.float32]:
        expected = (self.side, self.side, 3)
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != expected:
            raise ValueError(
                f"expected uint8 images of shape (n, {self.side}, {self.side}, 3), "
                f"found {x.dtype} of {x.shape}"
            )
        found = np.empty((len(x), width), dtype=np.float32)
        size = max(1, PIXELS_AT_ONCE // self.side**2)
        with torch.inference_mode():
            for start in range(0, len(x), size):
                rows = torch.from_numpy(np.ascontiguousarray(x[start : start + size]))
                found[start : start + size] = layers(rows.to(self.device)).float().cpu().numpy()
        return found


def _untrained(spec: ImageClassifierSpec, config: dict[str, Any]) -> ImageNetwork:
    if config["backbone"] is None:
        return make_network(spec, config["n_classes"], config["side"])
    # transformers takes seconds to import, which only those who want it wait for.
    from models.images.backbone import rebuild  # noqa: PLC0415

    return rebuild(config["backbone"], config["n_classes"])
