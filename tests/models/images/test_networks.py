"""Shapes, sizes and initial weights of the residual networks."""

import math

import pytest
import torch

from models.images.networks import Block, make_network
from tests.models.images.conftest import spec_of


def network_of(name: str, side: int = 32, width: int = 8, classes: int = 5) -> torch.nn.Module:
    torch.manual_seed(0)
    return make_network(spec_of(network=name, width=width), classes, side)


@pytest.mark.parametrize("side", [16, 32, 64, 96, 128, 256])
@pytest.mark.parametrize("name", ["resnet-8", "wrn-10-1"])
def test_every_side_gives_logits_and_features(name: str, side: int) -> None:
    network = network_of(name, side)
    images = torch.rand(2, 3, side, side)
    assert network(images).shape == (2, 5)
    assert network.features(images).shape == (2, network.dim)
    assert network.dim == {"resnet-8": 32, "wrn-10-1": 64}[name]


@pytest.mark.parametrize(
    ("side", "last"), [(16, 4), (32, 8), (64, 8), (96, 12), (128, 8), (256, 8)]
)
def test_the_last_stage_is_about_eight_by_eight(side: int, last: int) -> None:
    network = network_of("resnet-8", side)
    found = network.blocks(network.stem(torch.rand(1, 3, side, side)))
    assert found.shape[2:] == (last, last)


@pytest.mark.parametrize(
    ("name", "layers"), [("resnet-8", 8), ("resnet-20", 20), ("wrn-10-2", 10), ("wrn-16-1", 16)]
)
def test_a_name_s_depth_counts_the_layers_on_the_longest_path(name: str, layers: int) -> None:
    network = network_of(name)
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    found = 1 + 2 * len(blocks) + 1
    # He et al. count 6n + 2, Zagoruyko & Komodakis the shortcuts of the three stages, too: 6n + 4.
    assert found + (2 if name.startswith("wrn") else 0) == layers


def test_a_wide_network_has_the_published_number_of_weights() -> None:
    network = network_of("wrn-28-10", classes=10)
    # Zagoruyko & Komodakis 2016, table 4: 36.5 M.
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(36.5e6, rel=2e-3)


def test_initial_weights_keep_the_scale_of_what_goes_through() -> None:
    conv = network_of("resnet-8", width=64).blocks[0].conv_1
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.05)
