"""Small data for GeLDA's tests, and a generator trained on them in a fraction of a second."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.front.front import Front
from models.gelda.method import Generator, train
from models.gelda.spec import DenoiserSpec, GeldaSpec, LatentSpec, ObjectiveSpec
from models.semantics.spec import LearnedVectors

WATCH = {"resume", "on_checkpoint", "should_stop"}


class Trainer:
    """Trains small generators on rows around well separated centres."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def rows(self, counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Rows of 6 dimensions, one centre a class, a covariance that is not I."""
        rng = np.random.default_rng(0)
        centres = 3 * rng.standard_normal((len(counts), 6))
        mixing = rng.standard_normal((6, 6)) / np.sqrt(6)
        y = np.repeat(np.arange(len(counts)), counts)
        x = centres[y] + rng.standard_normal((len(y), 6)) @ mixing
        return x.astype(np.float32), y.astype(np.int64)

    def __call__(
        self,
        counts: tuple[int, ...] = (40, 12, 3),
        *,
        x: Any = None,
        names: int | None = None,
        vectors: Any = None,
        batch_size: int | None = None,
        y: Any = None,
        subdomain: Any = None,
        subdomains: tuple[str, ...] = (),
        subdomain_vectors: Any = None,
        posterior: Any = None,
        held_out: Any = None,
        kappa: Any = None,
        shrinkage: float = 1.0,
        front: Front | None = None,
        **parts: Any,
    ) -> Generator:
        """Train with ``counts`` rows a class; ``parts`` are parts of the spec, or a watch's."""
        watch = {name: parts.pop(name) for name in WATCH & parts.keys()}
        if subdomains:  # the spec's name for their vectors is that of their names here
            parts["subdomains"] = kappa or LearnedVectors()
        parts.setdefault("denoiser", DenoiserSpec(width=32, blocks=2))
        parts.setdefault("objective", ObjectiveSpec(steps=12, batch_size=32, checkpoint_steps=5))
        parts.setdefault("latents", LatentSpec(shrinkage=shrinkage))
        rows, labels = self.rows(counts)
        return train(
            rows if x is None else x,
            labels if y is None else y,
            classes=[f"class {i}" for i in range(names or len(counts))],
            vectors=vectors,
            spec=GeldaSpec(dataset="ds_" + "0" * 32, **parts),
            seed=5,
            scratch=self._scratch,
            front=front or Front.identity(rows.shape[1]),
            batch_size=batch_size,
            subdomain=subdomain,
            subdomains=subdomains,
            subdomain_vectors=subdomain_vectors,
            posterior=posterior,
            held_out=held_out,
            **watch,
        )


@pytest.fixture
def trained(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path)
