"""Classifiers as ONNX files: the same logits, a free batch, and no word from the exporter."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from transformers.utils import logging as transformers_logging

from models.encoders.folder import FOLDERS_VARIABLE
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
    transformers_logging.disable_progress_bar()
    tiny.make("vit", folder / "vit")
    return str(folder)


@pytest.mark.parametrize(
    ("options", "side", "compared"),
    [
        ({"network": "resnet-8"}, 16, 1),
        ({"network": "wrn-10-1"}, 64, 5),
        ({"backbone": "vit", "learning_rate": 1e-3}, 16, 5),
        ({"backbone": "vit", "learning_rate": 1e-3}, 64, 2),
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
    compared: int,
) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, vit)
    classifier, path = fitted(data=rows(12, side), **options), tmp_path / "out" / "classifier.onnx"
    before = {key: value.stride() for key, value in classifier.model.state_dict().items()}
    told: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = told.append
    monkeypatch.setattr(logging.getLogger("torch.onnx"), "handlers", [handler])
    capfd.readouterr()
    difference = onnx.export(classifier, path, rows(compared, side)[0])
    assert (capfd.readouterr(), told) == (("", ""), [])
    assert 0 <= difference < 1e-3
    # The classifier itself stays in the layout that is fast.
    assert classifier.model.state_dict().keys() == before.keys()
    assert all(
        value.stride() == before[key] for key, value in classifier.model.state_dict().items()
    )
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


def test_a_comparison_needs_an_image(fitted: Fit, rows: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        onnx.export(fitted(), tmp_path / "none.onnx", rows(1)[0][:0])
