"""A trained classifier out of the files that the service hands out."""

import json
import os
from pathlib import Path
from typing import Any

from cultivar import _classifier, _image_classifier
from cultivar._classifier import CLASSIFIER_FILES, LocalClassifier
from cultivar._exceptions import CultivarError
from cultivar._image_classifier import IMAGE_FILES, LocalImageClassifier

_READERS: dict[Any, Any] = {
    _classifier.FORMAT: _classifier.read_classifier,
    _image_classifier.FORMAT: _image_classifier.read_image_classifier,
}


def load_classifier(folder: str | os.PathLike[str]) -> LocalClassifier | LocalImageClassifier:
    """Return the classifier of a folder with its downloaded files.

    One on embeddings is read from `classifier.safetensors` and `config.json`; one on images from
    `classifier.onnx` and `config.json`, and needs ``pip install 'cultivar[images]'``.

    Raises:
        CultivarError: a file is missing, is of another format, or does not fit the other.
        ConfigurationError: ONNX Runtime is not installed.
    """
    place = Path(folder).expanduser()
    settings = place / "config.json"
    if not settings.is_file():
        raise CultivarError(f"{place} holds no classifier: {settings.name} is missing")
    config = json.loads(settings.read_text(encoding="utf-8"))
    read = _READERS.get(config.get("format"))
    if read is None:
        raise CultivarError(
            f"{settings}: expected format {' or '.join(_READERS)}, found {config.get('format')!r}"
        )
    loaded: LocalClassifier | LocalImageClassifier = read(place, config)
    return loaded


def needed(files: Any) -> tuple[str, ...]:
    """Return which of a classifier's files `load_classifier` reads."""
    return IMAGE_FILES if IMAGE_FILES[0] in files else CLASSIFIER_FILES
