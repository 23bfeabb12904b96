"""Guidance of two conditions: which flows it needs, their factors, and the times it applies at."""

import pytest
import torch
from torch import Tensor

from models.gelda.guidance import BOTH, Guidance, Kept, guided
from models.gelda.spec import SamplerSpec

VALUES = {(False, False): 1.0, (True, False): 10.0, (False, True): 100.0, BOTH: 1000.0}


def velocity(guidance: Guidance, t: float = 0.5) -> tuple[float, list[Kept]]:
    asked: list[Kept] = []

    def flow(kept: Kept):  # type: ignore[no-untyped-def]
        def model(x: Tensor, _t: Tensor) -> Tensor:
            asked.append(kept)
            return torch.full_like(x, VALUES[kept])

        return model

    v = guided(flow, guidance)(torch.zeros(1, 1), torch.tensor(t))
    return float(v), sorted(asked)


@pytest.mark.parametrize(
    ("gamma", "kappa"), [(1, 1), (2, 1), (1, 2), (2, 2), (0.5, 3), (1, 0), (2, 0), (1.5, 1.5)]
)
def test_the_flows_are_composed_as_documented(gamma: float, kappa: float) -> None:
    expected = 1 + gamma * (10 - 1) + kappa * (1000 - 10)
    assert velocity(Guidance(gamma, kappa))[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gamma", "kappa", "evaluations"),
    [(1, 1, 1), (0, 0, 1), (1, 0, 1), (0, 1, 1), (2, 2, 2), (1, 2, 2), (2, 0, 2), (2, 3, 3)],
)
def test_no_flow_is_asked_for_in_vain(gamma: float, kappa: float, evaluations: int) -> None:
    assert len(velocity(Guidance(gamma, kappa))[1]) == evaluations


@pytest.mark.parametrize("kappa", [0, 1, 2])
def test_a_class_scale_of_0_asks_no_flow_that_knows_the_class(kappa: float) -> None:
    v, asked = velocity(Guidance(0, kappa))
    assert not any(knows_class for knows_class, _ in asked)
    assert v == pytest.approx(1 + kappa * 99)


@pytest.mark.parametrize(("t", "applies"), [(0.1, False), (0.3, True), (0.6, True), (0.9, False)])
def test_outside_its_interval_guidance_is_none(t: float, applies: bool) -> None:
    v, asked = velocity(Guidance(2, 2, (0.3, 0.6)), t)
    assert (v == 1000) is not applies
    assert len(asked) == (2 if applies else 1)


def test_without_subdomains_the_class_scale_is_all_there_is() -> None:
    sampler = SamplerSpec(guidance=2, guidance_subdomain=5, guidance_interval=(0.1, 0.8))
    assert Guidance.of(sampler, subdomains=False) == Guidance(2, 2, (0.1, 0.8))
    assert Guidance.of(sampler, subdomains=True) == Guidance(2, 5, (0.1, 0.8))
