import numpy as np
import pytest
import torch

from models.glico.generator import drawn_mix
from models.glico.pairs import Members, columns
from models.glico.spec import InterpolationSpec

Y = np.array([0, 1, 0, 2, 1, 0, 1, 0, 3])
"""Four images of class 0, three of 1, one each of 2 and 3."""


def mixed(spec: InterpolationSpec, rows: torch.Tensor, seed: int = 0):
    members = Members(Y, 5)
    return drawn_mix(members, rows, torch.Generator().manual_seed(seed), spec)


@pytest.mark.parametrize("parents", [2, 3, 4])
def test_all_parents_are_of_one_class_and_none_comes_twice(parents: int) -> None:
    rows = torch.tensor([0, 2, 5, 7] * 200)
    mix = mixed(InterpolationSpec(parents=parents), rows)
    assert torch.equal(mix.parents[:, 0], rows)
    assert (Y[mix.parents.numpy()] == 0).all()
    assert all(len(set(one)) == parents for one in mix.parents.tolist())


@pytest.mark.parametrize("parents", [2, 3, 5])
def test_shares_add_up_and_the_base_has_what_t_leaves(parents: int) -> None:
    spec = InterpolationSpec(parents=parents, low=0.1, high=0.4)
    mix = mixed(spec, torch.tensor([0, 2, 5, 7] * 100))
    assert torch.allclose(mix.weights.sum(dim=1), torch.ones(400))
    assert mix.weights.min() >= 0
    assert 0.6 <= mix.weights[:, 0].min() < 0.61
    assert 0.89 < mix.weights[:, 0].max() <= 0.9


def test_every_partner_is_as_likely() -> None:
    mix = mixed(InterpolationSpec(), torch.full((3000,), 5))
    counts = np.bincount(mix.parents[:, 1].numpy(), minlength=9)
    assert counts[5] == 0
    assert (np.abs(counts[[0, 2, 7]] - 1000) < 120).all()


def test_every_image_of_a_batch_has_its_own_partner_and_share() -> None:
    mix = mixed(InterpolationSpec(), torch.full((50,), 0))
    assert len(mix.parents[:, 1].unique()) == 3
    assert len(mix.weights[:, 1].unique()) == 50


def test_a_class_with_fewer_images_than_parents_uses_those_it_has() -> None:
    mix = mixed(InterpolationSpec(parents=5), torch.tensor([1, 4, 6] * 20))
    assert (Y[mix.parents.numpy()] == 1).all()
    assert (mix.weights[:, 3:] == 0).all()
    assert (mix.weights[:, 1:3] > 0).all()
    assert all(len(set(one[:3])) == 3 for one in mix.parents.tolist())


def test_an_image_alone_in_its_class_stands_for_itself() -> None:
    mix = mixed(InterpolationSpec(), torch.tensor([3, 8]))
    assert mix.parents.tolist() == [[3, 3], [8, 8]]
    assert mix.weights.tolist() == [[1, 0], [1, 0]]


def test_bases_are_the_images_of_a_class_in_turn() -> None:
    found = Members(Y, 5).base(torch.zeros(9, dtype=torch.int64), torch.arange(9))
    assert found.tolist() == [0, 2, 5, 7, 0, 2, 5, 7, 0]


def test_the_largest_uniform_number_is_still_a_partner() -> None:
    spec = InterpolationSpec(parents=4)
    almost_one = torch.full((4, columns(spec)), 1 - 2**-24)
    mix = Members(Y, 5).mix(torch.tensor([0, 2, 5, 7]), almost_one, spec)
    assert (Y[mix.parents.numpy()] == 0).all()
    assert torch.isfinite(mix.weights).all()
    assert all(len(set(one)) == 4 for one in mix.parents.tolist())
