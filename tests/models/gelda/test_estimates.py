"""What vectors of meaning say about means: from the other classes alone, by whichever tells more."""

import pytest
import torch

from models.gelda.estimates import INTERCEPT, RIDGES, WIDTHS, estimate, ridge, similar

G = torch.Generator().manual_seed(0)


def unit(n: int, m: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, m, generator=G).double(), dim=1)


def test_a_class_of_like_vector_suggests_its_own_mean() -> None:
    means = torch.tensor([[10.0], [-10.0], [0.0]]).double()
    counts = torch.tensor([50.0, 50.0, 0.0]).double()
    related = torch.tensor([[1.0, 0.0, 0.9], [0.0, 1.0, 0.1], [0.9, 0.1, 1.0]]).double()
    assert float(similar(means, counts, related)[2]) > 9.9


def test_nothing_known_suggests_the_middle() -> None:
    means, counts = torch.tensor([[0.0], [3.0], [6.0]]).double(), torch.ones(3).double()
    for found in (
        similar(means, counts, torch.eye(3).double()),
        ridge(means, counts, torch.eye(3).double(), 1.0),
    ):
        assert found.flatten().tolist() == pytest.approx([4.5, 3.0, 1.5], abs=0.3)


@pytest.mark.parametrize("kind", ["similar", "ridge", "auto"])
def test_the_only_class_keeps_its_mean(kind: str) -> None:
    means, counts = torch.tensor([[2.0], [0.0]]).double(), torch.tensor([3.0, 0.0]).double()
    found, _ = estimate(means, counts, torch.eye(2).double(), 0.0, kind)
    assert found.flatten().tolist() == [2.0, 2.0]


@pytest.mark.parametrize("left_out", [0, 4])
def test_ridge_leaves_each_class_out_as_if_it_had_no_row(left_out: int) -> None:
    """The closed form against fitting again without the class, at the kernel and penalty it chose."""
    vectors = unit(7, 3)
    means, counts = (
        vectors @ torch.randn(3, 2, generator=G).double(),
        torch.full((7,), 5.0).double(),
    )
    related, worth = vectors @ vectors.T, 2.0
    found = ridge(means, counts, related, worth)
    others = [label for label in range(7) if label != left_out]
    kernels = [related, *(((related - 1) / width).exp() for width in WIDTHS)]

    def again(kernel: torch.Tensor, penalty: float) -> torch.Tensor:
        A = kernel[others][:, others] + penalty * (1 + worth / 5) * torch.eye(6).double()
        return kernel[left_out, others] @ torch.linalg.solve(A, means[others])

    errors = [
        float((again(INTERCEPT + kernel, penalty) - found[left_out]).abs().max())
        for kernel in kernels
        for penalty in RIDGES
    ]
    assert min(errors) < 1e-6


def test_auto_takes_ridge_where_means_are_linear_in_the_vectors() -> None:
    vectors = unit(40, 6)
    means, counts = vectors @ torch.randn(6, 5, generator=G).double(), torch.full((40,), 50.0)
    related = vectors @ vectors.T
    found, kind = estimate(means, counts.double(), related, 0.1, "auto")
    assert kind == "ridge"
    assert float((found - means).square().sum() / means.square().sum()) < 0.05


def test_auto_takes_the_neighbours_where_each_class_is_as_its_one_near_relative() -> None:
    """Pairs of like vectors with a mean of their own, as far from the others' as those from theirs."""
    pairs = torch.arange(80) // 2
    vectors = unit(40, 60)[pairs] + 0.2 * unit(80, 60)
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    means = torch.randn(40, 5, generator=G).double()[pairs]
    found, kind = estimate(means, torch.full((80,), 9.0).double(), vectors @ vectors.T, 1.0, "auto")
    assert kind == "similar"
    assert float((found - means).square().sum() / means.square().sum()) < 0.05


def test_ridge_follows_means_that_are_not_linear_in_the_vectors() -> None:
    """Classes on a circle whose mean goes round it three times."""
    angles = torch.linspace(0, 2 * torch.pi, 81)[:80].double()
    related = (angles[:, None] - angles[None, :]).cos()
    means = torch.stack([(3 * angles).cos(), (3 * angles).sin()], dim=1)
    found = ridge(means, torch.full((80,), 9.0).double(), related, 1.0)
    assert float((found - means).square().sum() / means.square().sum()) < 0.05
