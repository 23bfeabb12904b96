"""GLICO and classifiers on images on an accelerator. Imports `models` only."""

from pathlib import Path
from shutil import copy

import numpy as np
import pytest
import torch

from models.errors import Interrupted
from models.glico.method import Generator, train
from models.glico.spec import DecoderSpec, GlicoSpec, InterpolationSpec, ReconstructionSpec
from models.images.classifier import ImageClassifier
from models.images.spec import ImageClassifierSpec
from models.images.train import fit

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SPEC = GlicoSpec(
    dataset="ds_" + "0" * 32,
    decoder=DecoderSpec(code_dim=32, width=16),
    reconstruction=ReconstructionSpec(steps=40, batch_size=16, checkpoint_steps=10),
)
CLASSIFIER = ImageClassifierSpec(steps=60, batch_size=16, width=8)
Y = np.arange(40) % 4


def images(side: int = 32) -> np.ndarray:
    x = np.random.default_rng(0).integers(0, 80, (40, side, side, 3))
    for label in range(4):
        x[label == Y, label * side // 4 : (label + 1) * side // 4] += 150
    return x.astype(np.uint8)


def trained(scratch: Path, **more: object) -> Generator:
    return train(
        images(), Y, classes=list("abcd"), spec=SPEC, seed=0, scratch=scratch, device="cuda",
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_codes_stay_on_the_sphere_and_the_loss_falls(tmp_path: Path) -> None:
    generator = trained(tmp_path)
    assert (generator.codes.norm(dim=1) - 1).abs().max() < 1e-5
    losses = [loss for _, loss in generator.config["history"]]
    assert losses[-1] < losses[0]
    assert generator.config["reconstruction"]["precision"] == "bfloat16"


def test_a_resumed_training_is_close_to_an_uninterrupted_one(tmp_path: Path) -> None:
    kept: list[Path] = []

    def keep(path: Path, step: int) -> None:
        kept.append(Path(copy(path, tmp_path / f"kept-{step}")))

    looks = iter(range(100))
    with pytest.raises(Interrupted):
        trained(tmp_path, on_checkpoint=keep, should_stop=lambda: next(looks) == 25)
    resumed, whole = trained(tmp_path, resume=kept[-1]), trained(tmp_path)
    # Sums in atomic order: equal up to rounding, which 15 more steps let grow.
    assert (resumed.codes - whole.codes).abs().max() < 0.05


def test_samples_are_those_of_a_cpu_up_to_rounding(tmp_path: Path) -> None:
    generator = trained(tmp_path)
    generator.save(tmp_path / "kept")
    items = Y.astype(np.int64), np.arange(40)
    ours, theirs = (
        Generator.load(tmp_path / "kept", device).sample(
            *items, seed=1, interpolation=InterpolationSpec()
        )
        for device in ("cuda", "cpu")
    )
    np.testing.assert_array_equal(ours.parents, theirs.parents)
    assert np.abs(ours.images.astype(int) - theirs.images).max() <= 4


def test_a_classifier_learns_from_real_and_synthetic_images(tmp_path: Path) -> None:
    generator = trained(tmp_path)
    classifier = fit(
        images(), Y, 4, CLASSIFIER, 0,
        source=generator.source(InterpolationSpec()), probability=0.5, device="cuda",
    )  # fmt: skip
    assert (classifier.predict(images()) == Y).mean() > 0.9
    classifier.save(tmp_path / "classifier")
    again = ImageClassifier.load(tmp_path / "classifier", "cpu")
    assert (again.predict(images()) == classifier.predict(images())).mean() > 0.95
