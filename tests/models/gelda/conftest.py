"""Small data for GeLDA's tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.gelda.method import Generator, train
from models.gelda.spec import DenoiserSpec, GeldaSpec, ObjectiveSpec

DATASET = "ds_" + "0" * 32


def small_spec(**parts: Any) -> GeldaSpec:
    """A generator that trains in a fraction of a second."""
    parts.setdefault("denoiser", DenoiserSpec(width=32, blocks=2))
    parts.setdefault("objective", ObjectiveSpec(steps=12, batch_size=32, checkpoint_steps=5))
    return GeldaSpec(dataset=DATASET, **parts)


def long_tail(counts: tuple[int, ...], dim: int = 6, seed: int = 0) -> tuple[Any, Any]:
    """Rows around one centre a class, 3 away from each other's, with a covariance that is not I."""
    rng = np.random.default_rng(seed)
    centres = 3 * rng.standard_normal((len(counts), dim))
    mixing = rng.standard_normal((dim, dim)) / np.sqrt(dim)
    y = np.repeat(np.arange(len(counts)), counts)
    x = centres[y] + rng.standard_normal((len(y), dim)) @ mixing
    return x.astype(np.float32), y.astype(np.int64)


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Generator]:
    """Train on rows with ``counts`` rows a class; more arguments go to `train`."""

    def build(counts: tuple[int, ...] = (40, 12, 3), **more: Any) -> Generator:
        x, y = long_tail(counts)
        more.setdefault("spec", small_spec())
        more.setdefault("vectors", None)
        names = [f"class {i}" for i in range(len(counts))]
        return train(x, y, classes=names, seed=5, scratch=tmp_path, **more)

    return build
