"""Where cells are drawn: shrinkage of scarce ones, and cells and subdomains that nobody has seen."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from models.gelda.centres import Centres, centres, offsets, prior_rows
from models.gelda.estimates import similar
from models.gelda.moments import Moments, Unlabelled

CLASSES = torch.tensor([[-6.0, 1.0], [0.0, 5.0], [7.0, -2.0]]).double()
OFFSETS = torch.tensor([[0.0, 0.0], [2.0, -1.0]]).double()
TRUE = CLASSES[:, None] + OFFSETS


def moments(counts: Any, means: Any = TRUE, unlabelled: Unlabelled | None = None) -> Moments:
    n = torch.tensor(counts).double()
    (k, s), dim = n.shape, means.shape[2]
    none = Unlabelled(
        torch.zeros(s).double(), torch.zeros(s, dim).double(), torch.zeros(s, k).double()
    )
    means = torch.where(n[:, :, None] > 0, means, 0.0)
    return Moments(torch.zeros(dim), torch.ones(dim), n, means, unlabelled or none)


def found(counts: Any, *, shrinkage: float = 0.0, kind: str = "similar", **more: Any) -> Centres:
    given = moments(counts, **more)
    k, s = given.counts.shape
    eye = torch.eye(given.means.shape[2]).double()
    return centres(
        given, eye, torch.eye(k).double(), torch.eye(s).double(), shrinkage=shrinkage, kind=kind
    )


def test_rows_of_a_class_are_worth_more_the_more_there_are() -> None:
    means = torch.tensor([[0.0], [0.0], [12.0]]).double()[:, None]
    counts = [[100], [100], [5]]
    n = torch.tensor([100.0, 100.0, 5.0]).double()
    away = means[:, 0] - similar(means[:, 0], n, torch.eye(3).double())
    worth = prior_rows(away, n, torch.eye(1).double())
    shrunk = found(counts, means=means, shrinkage=5 / worth).drawn.flatten()
    assert float(shrunk[2]) == pytest.approx(6.0)
    assert float(shrunk[0]) < 1
    torch.testing.assert_close(found(counts, means=means).drawn, means)


def test_classes_far_apart_need_no_prior() -> None:
    counts, eye = torch.full((50,), 10.0).double(), torch.eye(40).double()
    g = torch.Generator().manual_seed(0)
    unit = torch.randn(50, 40, generator=g).double()
    noise = torch.randn(50, 40, generator=g).double() / 10**0.5
    assert prior_rows(10 * unit + noise, counts, eye) == pytest.approx(0.01, rel=0.2)
    assert prior_rows(unit + noise, counts, eye) == pytest.approx(1, rel=0.2)
    assert prior_rows(noise, counts, eye) > 20
    assert prior_rows(unit[:1], counts[:1], eye) == 0


def test_what_counts_is_how_far_apart_classes_are_in_the_front_s_units_not_in_how_many_directions() -> (
    None
):
    """One leading component tells classes apart, a hundred are noise, and each class has five rows."""
    means = torch.zeros(3, 1, 101).double()
    means[:, 0, 0] = torch.tensor([-3.0, 0.0, 3.0])
    scale = torch.tensor([10.0] + [0.1] * 100)
    given = moments([[5], [5], [5]], means=means)
    eyes = torch.eye(101).double(), torch.eye(3).double(), torch.eye(1).double()

    def kept(scale: torch.Tensor) -> float:
        result = centres(replace(given, scale=scale), *eyes, shrinkage=1.0, kind="similar")
        return float(result.drawn[2, 0, 0]) / 3

    assert kept(scale) > 0.95
    assert kept(torch.ones(101)) < 0.1, (
        "standardised, chance in a hundred directions would drown it"
    )


def test_rows_count_for_less_the_better_others_tell_where_a_class_lies() -> None:
    """Neighbours in meaning are neighbours in place, or are not."""
    g = torch.Generator().manual_seed(0)
    place = torch.randn(30, 20, generator=g).double()
    place = torch.cat([place, place + 0.3 * torch.randn(30, 20, generator=g).double()])
    n, eye = torch.full((60,), 50.0).double(), torch.eye(20).double()
    vectors = torch.eye(30).double().repeat(2, 1)
    order = torch.randperm(60, generator=g)
    told, shuffled = (
        prior_rows(place - similar(place, n, related @ related.T), n, eye)
        for related in (vectors, vectors[order])
    )
    assert told > 5 * shuffled


def test_an_unseen_cell_is_its_class_elsewhere_plus_its_subdomain_s_offset() -> None:
    result = found([[30, 20], [10, 50], [40, 0]])
    torch.testing.assert_close(result.drawn, TRUE, atol=0.02, rtol=0)
    torch.testing.assert_close(result.residual, TRUE, atol=0.02, rtol=0)


def test_a_seen_cell_keeps_its_mean_and_a_scarce_one_is_drawn_to_the_prediction() -> None:
    off = TRUE.clone()
    off[2, 1] += 1
    kept, shrunk = (
        found([[300, 200], [100, 500], [400, 1]], means=off, shrinkage=shrinkage)
        for shrinkage in (0.0, 500.0)
    )
    torch.testing.assert_close(kept.drawn, off, atol=1e-9, rtol=0)
    assert torch.equal(shrunk.residual, off), "residuals are taken from the rows' own mean"
    torch.testing.assert_close(shrunk.drawn[2, 1], TRUE[2, 1], atol=0.5, rtol=0)


def test_an_unseen_class_is_what_the_others_suggest_plus_the_offset() -> None:
    result = found([[30, 20], [10, 50], [0, 0]])
    between = result.drawn[2, 1] - result.drawn[2, 0]
    torch.testing.assert_close(between, OFFSETS[1] - OFFSETS[0], atol=0.02, rtol=0)
    assert bool((result.drawn[2, 0] < CLASSES[:2].max(dim=0).values + 0.1).all())


def test_a_subdomain_without_labels_is_offset_from_the_mixture_of_its_classes() -> None:
    mixture = torch.tensor([0.7, 0.2, 0.1]).double()
    unlabelled = Unlabelled(
        torch.tensor([0.0, 500.0]).double(),
        torch.stack([torch.zeros(2).double(), mixture @ TRUE[:, 1]]),
        torch.stack([torch.zeros(3).double(), mixture]),
    )
    result = found([[30, 0], [10, 0], [40, 0]], unlabelled=unlabelled)
    torch.testing.assert_close(result.drawn, TRUE, atol=0.02, rtol=0)


def test_a_subdomain_without_any_row_has_the_offset_of_the_one_of_like_vector() -> None:
    three = torch.cat([TRUE, TRUE[:, :1]], dim=1)
    given = moments([[30, 20, 0], [10, 50, 0], [40, 30, 0]], means=three)
    related = torch.tensor([[1.0, 0.0, 0.1], [0.0, 1.0, 0.95], [0.1, 0.95, 1.0]]).double()
    result = offsets(given, torch.eye(2).double(), related)
    torch.testing.assert_close(result[2], result[1], atol=0.01, rtol=0)


def test_what_could_be_class_or_subdomain_is_the_class_s() -> None:
    """Two islands: nothing ties class 0 in subdomain 0 to class 1 in subdomain 1."""
    given = moments([[30, 0], [0, 30], [0, 20]])
    assert float(offsets(given, torch.eye(2).double(), torch.eye(2).double()).abs().max()) < 0.05
