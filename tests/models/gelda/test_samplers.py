"""The solvers, against flows whose answer is known in closed form."""

import pytest
import torch
from torch import Tensor

from models.gelda.samplers import SOLVERS, dpmpp_2m, heun, uniform_times


def gaussian_velocity(mean: float, deviation: float) -> "object":
    """v for data N(mean, deviation²): every noise ends at mean + deviation · noise."""

    def v(x: Tensor, t: Tensor) -> Tensor:
        variance = (1 - t) ** 2 * deviation**2 + t**2
        centred = x - (1 - t) * mean
        return (t - (1 - t) * deviation**2) / variance * centred - mean

    return v


@pytest.mark.parametrize("name", sorted(SOLVERS))
@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (2.0, 0.5), (-3.0, 0.1)])
def test_a_gaussian_s_noise_ends_where_it_must(name: str, mean: float, deviation: float) -> None:
    noise = torch.linspace(-3, 3, 13)[:, None].double()
    model = gaussian_velocity(mean, deviation)
    found = SOLVERS[name](model, noise, uniform_times(200).double())
    torch.testing.assert_close(found, mean + deviation * noise, atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_the_error_falls_with_the_square_of_the_steps(name: str) -> None:
    noise = torch.linspace(-2, 2, 9)[:, None].double()
    model = gaussian_velocity(1.0, 0.6)

    def error(steps: int) -> float:
        found = SOLVERS[name](model, noise, uniform_times(steps).double())
        return float((found - (1 + 0.6 * noise)).abs().max())

    order = torch.tensor(error(40) / error(80)).log2()
    assert order > 1.6


def test_points_are_reached_exactly_by_one_step_of_dpm_solver() -> None:
    """For one data point D is constant, which a first-order step in λ takes without error."""
    point = torch.tensor([[1.0, -2.0]]).double()
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    found = dpmpp_2m(lambda x, t: (x - point) / t, noise, uniform_times(1).double())
    torch.testing.assert_close(found, point.expand(5, 2))


@pytest.mark.parametrize(("solver", "evaluations"), [(heun, 9), (dpmpp_2m, 5)])
def test_evaluations_are_as_documented_and_never_at_t_0(solver: object, evaluations: int) -> None:
    times: list[float] = []

    def model(x: Tensor, t: Tensor) -> Tensor:
        times.append(float(t))
        return torch.zeros_like(x)

    solver(model, torch.zeros(1, 1), uniform_times(5))  # type: ignore[operator]
    assert len(times) == evaluations
    assert min(times) > 0
