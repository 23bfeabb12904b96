"""A trained classifier: predictions, files, and what it refuses to read."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.images.classifier import ImageClassifier
from tests.models.images.conftest import CLASSES, Rows

Fit = Callable[..., ImageClassifier]
Make = Callable[..., Rows]


@pytest.mark.parametrize("network", ["resnet-8", "wrn-10-1"])
def test_what_is_saved_and_loaded_gives_the_same_logits(
    fitted: Fit, rows: Make, tmp_path: Path, network: str
) -> None:
    classifier, (x, _) = fitted(network=network), rows(20, seed=2)
    files = classifier.save(tmp_path / "kept")
    again = ImageClassifier.load(tmp_path / "kept")
    assert {file.name for file in files} == {"classifier.safetensors", "config.json"}
    assert np.array_equal(again.logits(x), classifier.logits(x))
    assert np.array_equal(again.features(x), classifier.features(x))
    assert again.classes == CLASSES
    assert again.config == classifier.config


def test_logits_are_a_linear_map_of_features(fitted: Fit, rows: Make) -> None:
    classifier, (x, _) = fitted(), rows(10)
    linear = classifier.model.network.linear
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    features = classifier.features(x)
    assert features.dtype == np.float32
    assert features @ weight.T + bias == pytest.approx(classifier.logits(x), abs=1e-4)


def test_an_image_s_logits_do_not_depend_on_what_is_beside_it(fitted: Fit, rows: Make) -> None:
    classifier, (x, _) = fitted(), rows(12)
    one_by_one = np.concatenate([classifier.logits(x[i : i + 1]) for i in range(12)])
    assert one_by_one == pytest.approx(classifier.logits(x), abs=1e-4)


def test_images_of_one_grey_are_not_divided_by_zero(fitted: Fit) -> None:
    x = np.full((6, 16, 16, 3), 100, np.uint8)
    classifier = fitted(data=(x, np.arange(6) % 3))
    assert np.isfinite(classifier.logits(x)).all()


def test_no_images_give_no_logits(fitted: Fit) -> None:
    assert fitted().logits(np.zeros((0, 16, 16, 3), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    "x",
    [np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 16, 16, 3)), np.zeros((16, 16, 3), np.uint8)],
    ids=["side", "type", "axes"],
)
def test_images_that_it_was_not_trained_for_are_refused(fitted: Fit, x: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 images of shape \(n, 16, 16, 3\)"):
        fitted().logits(x)


def test_a_folder_of_another_format_is_refused(fitted: Fit, tmp_path: Path) -> None:
    fitted().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": "cultivar-classifier/1"}))
    with pytest.raises(ValueError, match="cultivar-image-classifier/1"):
        ImageClassifier.load(tmp_path)
