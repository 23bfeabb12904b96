"""Small images of three classes, and a classifier trained on them in a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.images.classifier import ImageClassifier
from models.images.spec import ImageClassifierSpec
from models.images.train import fit

CLASSES = ("dark", "bright", "striped")

Rows = tuple[np.ndarray, np.ndarray]


def spec_of(**fields: Any) -> ImageClassifierSpec:
    """Return a spec of a small network and a short training, but for ``fields``."""
    small = {
        "width": 4, "steps": 9, "batch_size": 8, "learning_rate": 0.05, "checkpoint_steps": 4,
        "precision": "float32",
    }  # fmt: skip
    return ImageClassifierSpec(**(small | fields))


@pytest.fixture
def rows() -> Callable[..., Rows]:
    """Makes noisy dark, bright and striped images in turn."""

    def make(n: int = 30, side: int = 16, seed: int = 0) -> Rows:
        rng = np.random.default_rng(seed)
        y = np.arange(n) % 3
        stripes = 70 + 120 * (np.arange(side) % 4 < 2)
        plain = np.stack([np.full(side, 80), np.full(side, 170), stripes])
        x = plain[y][:, :, None, None] + rng.normal(0, 20, (n, side, side, 3))
        return x.clip(0, 255).astype(np.uint8), y.astype(np.int64)

    return make


@pytest.fixture
def fitted(rows: Callable[..., Rows], tmp_path: Path) -> Callable[..., ImageClassifier]:
    """Trains on such images; takes fields of the spec, and whatever `fit` takes by name."""
    named = {
        "source", "probability", "resume", "on_progress", "on_checkpoint", "should_stop",
        "batch_rows", "classes", "device",
    }  # fmt: skip

    def train(
        *, data: Rows | None = None, seed: int = 3, n_classes: int = 3, **options: Any
    ) -> ImageClassifier:
        x, y = rows() if data is None else data
        given = {name: options.pop(name) for name in named & options.keys()}
        given.setdefault("classes", CLASSES if n_classes == 3 else ())
        return fit(x, y, n_classes, spec_of(**options), seed, scratch=tmp_path, **given)

    return train
