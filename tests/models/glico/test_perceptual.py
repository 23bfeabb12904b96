"""VGG-16 from a folder: the layout of timm and torchvision, made here with random weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.encoders.folder import FOLDERS_VARIABLE
from models.errors import InputProblem
from models.glico.perceptual import Vgg, load

CHANNELS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256)}
"""The first convolutions of VGG-16 by their place."""


def folder(at: Path, channels: dict[int, tuple[int, int]] = CHANNELS) -> None:
    noise = torch.Generator().manual_seed(0)
    weights = {"head.fc.weight": torch.zeros(3, 3)}
    for place, (wide, narrow) in channels.items():
        weights[f"features.{place}.weight"] = 0.05 * torch.randn(
            narrow, wide, 3, 3, generator=noise
        )
        weights[f"features.{place}.bias"] = torch.zeros(narrow)
    at.mkdir(parents=True)
    save_file(weights, at / "model.safetensors")
    (at / "config.json").write_text(json.dumps({"architecture": "vgg16"}))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path))
    return tmp_path


def test_its_distance_is_zero_for_equal_images_and_has_a_gradient_otherwise(models: Path) -> None:
    folder(models / "vgg16")
    distance, found = load("vgg16", 32)
    a = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert distance(a, a.detach()).item() == 0
    distance(a, torch.zeros_like(a)).backward()
    assert a.grad is not None
    assert a.grad.abs().sum() > 0
    assert found.id == "vgg16"


def test_its_maps_are_those_of_the_convolutions_named(models: Path) -> None:
    folder(models / "vgg16")
    network = Vgg((2, 7, 12))
    shapes = [tuple(one.shape[1:]) for one in network(torch.rand(1, 3, 32, 32))]
    assert shapes == [(64, 32, 32), (128, 16, 16), (256, 8, 8)]
    assert not any(weight.requires_grad for weight in network.parameters())


def test_a_large_image_needs_all_five_levels(models: Path) -> None:
    folder(models / "vgg16")
    with pytest.raises(InputProblem, match=r"features\.14\.weight is missing") as caught:
        load("vgg16", 128)
    assert (caught.value.code, caught.value.param) == ("not_vgg16", "reconstruction.perceptual")


def test_another_network_is_refused_with_the_weight_that_differs(models: Path) -> None:
    folder(models / "thin", CHANNELS | {5: (64, 100)})
    with pytest.raises(InputProblem, match=r"features\.5\.weight is of shape \(100, 64, 3, 3\)"):
        load("thin", 32)


def test_a_model_that_is_not_at_hand_is_named(models: Path) -> None:
    with pytest.raises(InputProblem, match=r"timm/vgg16\.tv_in1k.*not on this machine"):
        load("timm/vgg16.tv_in1k", 32)
