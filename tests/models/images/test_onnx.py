"""Classifiers as ONNX files: the same logits, a free batch, and no word from the exporter."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from transformers.utils import logging

from models.encoders.catalogue import FOLDERS_VARIABLE
from models.images import onnx
from models.images.classifier import ImageClassifier
from tests.models.encoders import tiny
from tests.models.images.conftest import CLASSES, Rows

Fit = Callable[..., ImageClassifier]
Make = Callable[..., Rows]


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny vision transformer."""
    folder = tmp_path_factory.mktemp("models")
    logging.disable_progress_bar()
    tiny.make("vit", folder / "vit")
    return str(folder)


@pytest.mark.parametrize(
    ("options", "side"),
    [
        ({"network": "resnet-8"}, 16),
        ({"network": "wrn-10-1"}, 64),
        ({"backbone": "vit", "learning_rate": 1e-3}, 16),
        ({"backbone": "vit", "learning_rate": 1e-3}, 64),
    ],
    ids=["resnet", "wrn", "enlarged for vit", "shrunk for vit"],
)
def test_an_exported_classifier_gives_torch_s_logits_for_any_number_of_images(
    fitted: Fit,
    rows: Make,
    vit: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: dict[str, Any],
    side: int,
) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, vit)
    classifier, path = fitted(data=rows(12, side), **options), tmp_path / "out" / "classifier.onnx"
    capfd.readouterr()
    difference = onnx.export(classifier, path, rows(5, side)[0])
    assert capfd.readouterr() == ("", "")
    assert 0 <= difference < 1e-3
    assert [file.name for file in path.parent.iterdir()] == ["classifier.onnx"]
    session = onnxruntime.InferenceSession(path)
    for n in (1, 7):
        x, _ = rows(n, side, seed=4)
        (found,) = session.run(None, {"images": x})
        assert found == pytest.approx(classifier.logits(x), abs=1e-3)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)


def test_other_logits_than_torch_s_are_never_handed_out(
    fitted: Fit, rows: Make, tmp_path: Path
) -> None:
    classifier = fitted()

    class Drifted(ImageClassifier):
        def logits(self, x: np.ndarray) -> np.ndarray:
            return super().logits(x) + np.float32(0.01)

    drifted = Drifted(classifier.model, classes=CLASSES, side=16, spec=classifier.spec)
    with pytest.raises(RuntimeError, match="other logits than torch"):
        onnx.export(drifted, tmp_path / "out" / "classifier.onnx", rows(3)[0])
    assert not list((tmp_path / "out").iterdir())


def test_one_image_is_enough_to_compare_on_and_none_is_not(
    fitted: Fit, rows: Make, tmp_path: Path
) -> None:
    classifier = fitted()
    assert onnx.export(classifier, tmp_path / "one.onnx", rows(1)[0]) < 1e-3
    with pytest.raises(ValueError, match="at least one image"):
        onnx.export(classifier, tmp_path / "none.onnx", rows(1)[0][:0])


def test_the_classifier_is_left_as_it_was(fitted: Fit, rows: Make, tmp_path: Path) -> None:
    classifier, (x, _) = fitted(), rows(4)
    before = classifier.logits(x)
    onnx.export(classifier, tmp_path / "classifier.onnx", x)
    assert np.array_equal(classifier.logits(x), before)
    conv = classifier.model.network.blocks[0].conv_1.weight
    assert conv.is_contiguous(memory_format=torch.channels_last)
