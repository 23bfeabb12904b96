"""The preconditioning and the loss, against what they were derived from."""

import pytest
import torch
from torch import Tensor

from models.gelda.objective import flow_loss, logit_normal_time, velocity


def nothing(x: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(x)


def draws(n: int = 200_000) -> tuple[Tensor, Tensor, torch.Generator]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, 1, generator=g), torch.randn(n, 1, generator=g), g


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_an_untrained_network_is_the_best_guess_for_standard_normal_data(t: float) -> None:
    """E[v | x_t] is linear for Gaussian data: its slope by regression is c_skip."""
    x_0, eps, _ = draws()
    x, v = (1 - t) * x_0 + t * eps, eps - x_0
    slope = float((x * v).mean() / (x * x).mean())
    guess = velocity(nothing, torch.ones(1, 1), torch.tensor(t))
    assert float(guess) == pytest.approx(slope, abs=0.02)


@pytest.mark.parametrize("t", [0.05, 0.3, 0.7, 0.95])
def test_the_network_s_input_and_target_have_unit_variance(t: float) -> None:
    x_0, eps, _ = draws()
    seen: list[Tensor] = []

    def network(x: Tensor, _t: Tensor) -> Tensor:
        seen.append(x)
        return torch.ones_like(x)

    x = (1 - t) * x_0 + t * eps
    c_out = velocity(network, x, torch.tensor(t)) - velocity(nothing, x, torch.tensor(t))
    target = (eps - x_0 - velocity(nothing, x, torch.tensor(t))) / c_out
    assert float(seen[0].var()) == pytest.approx(1, abs=0.02)
    assert float(target.var()) == pytest.approx(1, abs=0.02)


def test_the_loss_on_x0_is_that_of_the_denoised_latent() -> None:
    x_0, eps, g = draws(100)
    t = logit_normal_time(100, g)
    x = (1 - t[:, None]) * x_0 + t[:, None] * eps
    denoised = x - t[:, None] * velocity(nothing, x, t[:, None])
    expected = (denoised - x_0).square().mean(dim=1)
    torch.testing.assert_close(flow_loss(nothing, x_0, eps, t, "x0"), expected)


def test_times_are_logit_normal() -> None:
    t = logit_normal_time(100_000, torch.Generator().manual_seed(0))
    logits = torch.logit(t.double())
    assert float(logits.mean()) == pytest.approx(0, abs=0.02)
    assert float(logits.std()) == pytest.approx(1, abs=0.02)
