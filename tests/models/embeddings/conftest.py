"""Small real files of every format, and one way to read them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.embeddings.canonical import Manifest, read_embeddings
from models.embeddings.limits import Limits
from models.embeddings.spec import Columns
from models.errors import InputProblem

Ingest = Callable[..., Manifest]


@pytest.fixture
def x() -> np.ndarray[Any, Any]:
    """300 × 5 distinct embeddings."""
    return np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)


@pytest.fixture
def y() -> np.ndarray[Any, Any]:
    """100 labels each of 0, 1, 2, in turn."""
    return np.arange(300) % 3


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """Save arrays as an .npz and return its path."""

    def save(**arrays: Any) -> Path:
        path = tmp_path / "birds.npz"
        np.savez(path, **arrays)
        return path

    return save


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.fixture
def ingest(out: Path) -> Ingest:
    """Read files into ``out``; the format is the first one's ending unless given."""

    def read(*paths: Path, limits: Limits | None = None, **options: Any) -> Manifest:
        kind = options.pop("format", paths[0].suffix[1:])
        return read_embeddings(
            paths, [path.name for path in paths], format=kind, columns=Columns(**options),
            limits=limits or Limits(), out=out,
        )  # fmt: skip

    return read


@pytest.fixture
def refusal(ingest: Ingest) -> Callable[..., InputProblem]:
    """Read files that must be refused, and return why."""

    def refused(*paths: Path, **options: Any) -> InputProblem:
        with pytest.raises(InputProblem) as caught:
            ingest(*paths, **options)
        problem = caught.value
        assert problem.param
        assert len(problem.detail) < 1500
        return problem

    return refused
