"""Small images for GLICO's tests, and a generator trained on them in a second."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.glico.generator import Generator
from models.glico.method import train
from models.glico.spec import DecoderSpec, GlicoSpec, ReconstructionSpec


class Trainer:
    """Trains small generators on 16-pixel images: stripes, squares, and one image by itself.

    Attributes:
        x: 11 images.
        y: their classes: 6 of the first, 4 of the second, 1 of the third, none of the fourth.
    """

    classes = ("stripes", "squares", "alone", "absent")

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        rng = np.random.default_rng(0)
        self.y = np.array([0] * 6 + [1] * 4 + [2])
        x = rng.integers(0, 60, (11, 16, 16, 3))
        x[self.y == 0, ::4] += 150
        x[self.y == 1, 6:10, 6:10] += 180
        self.x = x.astype(np.uint8)

    def spec(self, decoder: dict[str, Any] | None = None, **reconstruction: Any) -> GlicoSpec:
        few = {"steps": 30, "batch_size": 8, "checkpoint_steps": 10, "precision": "float32"}
        return GlicoSpec(
            dataset="ds_" + "0" * 32,
            decoder=DecoderSpec(**({"code_dim": 16, "width": 8} | (decoder or {}))),
            reconstruction=ReconstructionSpec(**(few | reconstruction)),
        )

    def __call__(self, spec: GlicoSpec | None = None, **watch: Any) -> Generator:
        return train(
            watch.pop("x", self.x),
            self.y,
            classes=self.classes,
            spec=spec or self.spec(),
            seed=watch.pop("seed", 3),
            scratch=self._scratch,
            **watch,
        )


@pytest.fixture
def trained(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path)


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Trainer(tmp_path_factory.mktemp("glico"))()
