"""A trained classifier on images in this process: pixels in, classes out, by ONNX Runtime."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cultivar._exceptions import ConfigurationError, CultivarError
from cultivar._pixels import Pixels, batches

if TYPE_CHECKING:
    from PIL.Image import Image

FORMAT: Final = "cultivar-image-classifier/1"
IMAGE_FILES: Final = ("classifier.onnx", "config.json")


@dataclass(frozen=True, eq=False, repr=False)
class LocalImageClassifier:
    """A classifier on images: what it needs of an image is done inside.

    Attributes:
        classes: the classes' names, in the order of the columns of `logits` and `predict_proba`.
        side: of the square images that it reads, in pixels; others are brought to it.
        config: how it was made.
    """

    classes: tuple[str, ...]
    side: int
    config: Mapping[str, Any]
    _model: bytes

    def __repr__(self) -> str:
        side = f"{self.side} × {self.side} pixels"
        return f"<LocalImageClassifier {side}, {len(self.classes)} classes>"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the running session out: it is no thing to send to another process."""
        return {name: value for name, value in vars(self).items() if name != "_session"}

    def predict(
        self, images: "Pixels | Sequence[Pixels | Image | str | os.PathLike[str]]"
    ) -> npt.NDArray[np.str_]:
        """Return the name of each image's likeliest class.

        Args:
            images: uint8, n × height × width × 3, or a list of paths, Pillow images or such arrays
                of one image each. Of images of another size the shorter side is brought to `side`,
                smoothed, and the middle is taken; that, and reading files, needs Pillow.

        Raises:
            InvalidInput: one of them is no image, or cannot be read; its number is told.
            ConfigurationError: Pillow is needed and not installed.
        """
        names: npt.NDArray[np.str_] = np.asarray(self.classes)
        return np.asarray(names[self.logits(images).argmax(axis=1)], dtype=np.str_)

    def predict_proba(
        self, images: "Pixels | Sequence[Pixels | Image | str | os.PathLike[str]]"
    ) -> npt.NDArray[np.float32]:
        """Return n × classes probabilities, each row's sum 1; arguments as of `predict`."""
        logits = self.logits(images)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)

    def logits(
        self, images: "Pixels | Sequence[Pixels | Image | str | os.PathLike[str]]"
    ) -> npt.NDArray[np.float32]:
        """Return n × classes values before the softmax; arguments as of `predict`."""
        none = np.empty((0, len(self.classes)), dtype=np.float32)
        parts = [
            self._session.run(["logits"], {"images": batch})[0]
            for batch in batches(images, self.side)
        ]
        return np.concatenate([none, *parts])

    @cached_property
    def _session(self) -> Any:
        try:
            from onnxruntime import InferenceSession  # noqa: PLC0415 (optional, and slow to import)
        except ImportError as error:
            raise ConfigurationError(
                "a classifier on images runs in ONNX Runtime: `pip install 'cultivar[images]'`"
            ) from error
        try:
            return InferenceSession(self._model, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's errors have no base of their own
            raise CultivarError(f"{IMAGE_FILES[0]} cannot be run: {error}") from error


def read_image_classifier(folder: Path, config: Mapping[str, Any]) -> LocalImageClassifier:
    """Return the classifier of a folder whose settings are ``config``, ready to run.

    Raises:
        CultivarError: the network is missing, or cannot be run.
        ConfigurationError: ONNX Runtime is not installed.
    """
    network = folder / IMAGE_FILES[0]
    if not network.is_file():
        raise CultivarError(f"{folder} holds no classifier: {network.name} is missing")
    classes = tuple(config["classes"] or (str(number) for number in range(config["n_classes"])))
    made = LocalImageClassifier(classes, config["side"], config, network.read_bytes())
    _ = made._session  # what is not installed, or cannot be run, is told at once
    return made
