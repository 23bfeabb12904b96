import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from models.glico.sphere import STRAIGHT, lerp, mean, project, slerp

DIM = 6
rows = arrays(np.float64, (4, DIM), elements=st.floats(-5, 5)).map(
    lambda x: project(torch.from_numpy(x))
)
shares = arrays(np.float64, 4, elements=st.floats(0, 1)).map(torch.from_numpy)


def angle(a: Tensor, b: Tensor) -> Tensor:
    return 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))


@given(rows, rows, shares)
def test_slerp_stays_on_the_sphere(a: Tensor, b: Tensor, t: Tensor) -> None:
    assert torch.allclose(slerp(a, b, t).norm(dim=1), torch.ones(4, dtype=a.dtype), atol=1e-9)


@given(rows, rows)
def test_slerp_begins_at_one_code_and_ends_at_the_other(a: Tensor, b: Tensor) -> None:
    ends = torch.zeros(4, dtype=a.dtype), torch.ones(4, dtype=a.dtype)
    assert torch.allclose(slerp(a, b, ends[0]), a, atol=1e-9)
    # Below the angle at which two codes count as one, the end is that code.
    assert torch.allclose(slerp(a, b, ends[1]), b, atol=1.01 * STRAIGHT)


@given(rows, rows, shares)
def test_slerp_goes_its_share_of_the_angle(a: Tensor, b: Tensor, t: Tensor) -> None:
    assert torch.allclose(angle(a, slerp(a, b, t)), t * angle(a, b), atol=1.01 * STRAIGHT)


def test_a_code_with_itself_gives_itself() -> None:
    a = project(torch.randn(5, 512, generator=torch.Generator().manual_seed(0)))
    found = slerp(a, a.clone(), torch.linspace(0, 1, 5))
    assert torch.isfinite(found).all()
    assert torch.allclose(found, a, atol=1e-6)


def test_between_opposite_codes_lies_a_half_circle() -> None:
    a = project(torch.randn(5, 512, generator=torch.Generator().manual_seed(0)))
    half = slerp(a, -a, torch.full((5,), 0.5))
    assert torch.allclose(half.norm(dim=1), torch.ones(5), atol=1e-6)
    assert torch.allclose((half * a).sum(dim=1), torch.zeros(5), atol=1e-6)
    assert torch.allclose(slerp(a, -a, torch.ones(5)), -a, atol=1e-6)


def test_rows_do_not_depend_on_the_batch_that_they_are_in() -> None:
    noise = torch.Generator().manual_seed(1)
    a, b = (project(torch.randn(6, 32, generator=noise)) for _ in range(2))
    t = torch.rand(6, generator=noise)
    alone = torch.cat([slerp(a[i : i + 1], b[i : i + 1], t[i : i + 1]) for i in range(6)])
    assert torch.allclose(slerp(a, b, t), alone, atol=1e-6)


def test_a_row_of_zeros_is_put_onto_the_sphere() -> None:
    assert project(torch.zeros(2, 4)).norm(dim=1).tolist() == [1, 1]


@pytest.mark.parametrize("size", [1e-320, 1e-160, 1e-20, 1e160])
def test_the_smallest_and_the_largest_rows_get_length_1(size: float) -> None:
    found = project(torch.full((1, 4), size, dtype=torch.float64))
    assert torch.allclose(found, torch.full((1, 4), 0.5, dtype=torch.float64), atol=1e-12)


def test_lerp_leaves_the_sphere() -> None:
    a, b = torch.eye(4)[:1], torch.eye(4)[1:2]
    assert lerp(a, b, torch.tensor([0.5])).norm().item() == pytest.approx(0.5**0.5)


@given(rows, rows, shares)
def test_the_mean_of_two_is_slerp(a: Tensor, b: Tensor, t: Tensor) -> None:
    found = mean(torch.stack([a, b], dim=1), torch.stack([1 - t, t], dim=1))
    assert torch.equal(found, slerp(a, b, t))


def test_the_mean_of_three_axes_is_their_diagonal() -> None:
    axes = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    found = mean(axes, torch.full((1, 3), 1 / 3, dtype=torch.float64))
    assert torch.allclose(found, torch.full((1, 3), 3**-0.5, dtype=torch.float64), atol=1e-9)


def test_the_mean_is_where_weighted_arcs_cancel() -> None:
    noise = torch.Generator().manual_seed(2)
    points = project(torch.randn(3, 8, generator=noise, dtype=torch.float64) + 1).unsqueeze(0)
    weights = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    centre = mean(points, weights)[0]
    along = points[0] - (points[0] @ centre).unsqueeze(1) * centre
    arcs = (
        angle(points[0], centre.expand(3, -1)).unsqueeze(1)
        * along
        / along.norm(dim=1, keepdim=True)
    )
    assert torch.allclose(
        (weights.T * arcs).sum(dim=0), torch.zeros(8, dtype=torch.float64), atol=1e-7
    )


def test_a_parent_without_a_share_moves_no_mean() -> None:
    noise = torch.Generator().manual_seed(4)
    points = project(torch.randn(3, 8, generator=noise, dtype=torch.float64)).unsqueeze(0)
    two = slerp(points[:, 0], points[:, 1], torch.tensor([0.25], dtype=torch.float64))
    weights = torch.tensor([[0.75, 0.25, 0.0]], dtype=torch.float64)
    assert torch.allclose(mean(points, weights), two, atol=1e-6)
