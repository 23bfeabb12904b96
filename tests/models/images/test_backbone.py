"""Image models of transformers under a new head: fed as they were trained, and kept whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.utils import logging

from models.encoders.catalogue import find
from models.encoders.encode import Encoder
from models.encoders.folder import FOLDERS_VARIABLE
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem
from models.images.backbone import load_backbone, rebuild
from models.images.classifier import ImageClassifier
from tests.models.encoders import tiny
from tests.models.images.conftest import Rows

Fit = Callable[..., ImageClassifier]
Make = Callable[..., Rows]

SMALL = {"batch_size": 6, "steps": 4, "learning_rate": 1e-3, "checkpoint_steps": 2}


class Pictures(bytes):
    """Numbers of pictures, in place of their bytes."""

    def item(self, row: int) -> bytes:
        return self[row : row + 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of every image family, and of one that reads texts."""
    folder = tmp_path_factory.mktemp("models")
    logging.disable_progress_bar()
    for name in (*tiny.IMAGES, "sentences"):
        tiny.make(name, folder / name)
    return folder


@pytest.fixture(autouse=True)
def at_hand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder))


@pytest.mark.parametrize("name", tiny.IMAGES)
def test_before_training_features_are_the_encoder_s_vectors(
    fitted: Fit, rows: Make, name: str
) -> None:
    x, y = rows(6, side=32)
    classifier = fitted(
        data=(x, y), backbone=name, **(SMALL | {"steps": 1, "learning_rate": 1e-12})
    )
    # Their own preparation cuts the edges off: it is given what they may cut.
    border = 2 if name in {"dinov2", "mobilenet_v2"} else 0
    framed = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))

    def decode(data: bytes) -> Image.Image:
        return Image.fromarray(framed[int(data)])

    encoder = Encoder.load(find(name), EncoderSpec(model=name))
    expected = encoder.encode(Pictures(b"012345"), range(6), decode=decode)
    assert classifier.features(x) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", tiny.IMAGES)
def test_all_of_it_is_fine_tuned_and_kept_without_its_folder(
    fitted: Fit, rows: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    torch.manual_seed(0)
    before = load_backbone(name, 3, "classifier.backbone")[0].state_dict()
    classifier, (x, _) = fitted(backbone=name, **SMALL), rows(6)
    after = classifier.model.network.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    first = next(key for key in before if key.endswith(("patch_embedding.weight", "0.weight"))
                 or "projection.weight" in key or "conv_stem" in key)  # fmt: skip
    assert first in moved
    assert "linear.weight" in moved
    assert not any("running" in key for key in moved)
    classifier.save(tmp_path / "kept")
    monkeypatch.setenv(FOLDERS_VARIABLE, "")
    again = ImageClassifier.load(tmp_path / "kept")
    assert np.array_equal(again.logits(x), classifier.logits(x))
    assert again.config == classifier.config
    assert again.config["backbone"]["id"] == name


def test_a_resumed_fine_tuning_ends_bit_for_bit_like_one_without_a_break(
    fitted: Fit, rows: Make
) -> None:
    kept: list[Path] = []
    options = SMALL | {"backbone": "vit"}
    whole = fitted(on_checkpoint=lambda path, _step: kept.append(path), **options)
    again = fitted(resume=kept[0], **options)
    x, _ = rows()
    assert np.array_equal(again.logits(x), whole.logits(x))


def test_fine_tuning_learns(fitted: Fit, rows: Make) -> None:
    classifier = fitted(backbone="vit", **(SMALL | {"steps": 60, "learning_rate": 3e-3}))
    x, y = rows(60, seed=1)
    assert (classifier.predict(x) == y).mean() > 0.8


def test_images_larger_than_the_model_reads_are_shrunk(fitted: Fit, rows: Make) -> None:
    classifier = fitted(data=rows(6, side=64), backbone="vit", **SMALL)
    assert classifier.side == 64
    assert classifier.logits(rows(4, side=64)[0]).shape == (4, 3)


@pytest.mark.parametrize(
    ("name", "code"),
    [("sentences", "encoder_modality_mismatch"), ("../vit", "model_not_allowed")],
)
def test_a_model_that_reads_no_images_or_is_unknown_is_refused(
    fitted: Fit, name: str, code: str
) -> None:
    with pytest.raises(InputProblem) as caught:
        fitted(backbone=name)
    assert (caught.value.code, caught.value.param) == (code, "classifier.backbone")


@pytest.mark.parametrize("name", ["AutoConfig", "logging", "NoSuchModel"])
def test_a_config_can_name_nothing_but_models(name: str) -> None:
    with pytest.raises(ValueError, match="no model of transformers"):
        rebuild({"class": name, "model": {}, "dim": 1}, 2)


def test_a_new_head_learns_at_ten_times_the_rate(fitted: Fit) -> None:
    options = {"backbone": "vit", "steps": 1, "weight_decay": 0.0}
    still, moved = (
        fitted(**options, learning_rate=rate).model.network.state_dict() for rate in (1e-12, 1e-3)
    )
    # Adam's first step is the rate itself, up or down.
    steps = {key: float((moved[key] - still[key]).abs().max()) for key in moved}
    assert steps.pop("linear.weight") == pytest.approx(1e-2, rel=1e-2)
    assert steps.pop("linear.bias") == pytest.approx(1e-2, rel=1e-2)
    assert max(steps.values()) == pytest.approx(1e-3, rel=1e-2)
