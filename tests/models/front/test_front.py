"""The front: preprocessing and the adapter's blocks, frozen, and whether there is a way back."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from models.front import preparation
from models.front.blocks import AdapterBlock
from models.front.front import Front
from models.front.spec import PreparationSpec

X = torch.from_numpy(np.random.default_rng(0).gamma(1.0, size=(40, 6)).astype(np.float32))
PREPARED = preparation.fit(X.numpy(), PreparationSpec(transform="sqrt", components=4))


def block(dim: int = 4, seed: int = 0, p: float = 0.0) -> AdapterBlock:
    made = AdapterBlock(dim, 16, p)
    made.initialise(torch.Generator().manual_seed(seed))
    return made


def trained_block(seed: int = 0) -> AdapterBlock:
    made = block(seed=seed)
    with torch.no_grad():
        made.out.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return made


def test_a_new_block_is_the_identity() -> None:
    z = PREPARED(X)
    assert torch.equal(block()(z), z)


def test_a_block_s_weights_come_from_its_generator_alone() -> None:
    before = torch.get_rng_state()
    assert torch.equal(block(seed=3).into.weight, block(seed=3).into.weight)
    assert not torch.equal(block(seed=3).into.weight, block(seed=4).into.weight)
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_comes_from_the_generator_that_is_passed_and_from_nowhere_else() -> None:
    dropping, z = deepcopy(trained_block()), PREPARED(X)
    dropping.p = 0.5
    assert torch.equal(dropping(z), trained_block()(z))
    drawn = [dropping(z, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_each_block_is_one_layer_and_takes_the_way_back_away() -> None:
    plain, deep = Front(PREPARED), Front(PREPARED, [trained_block(1), trained_block(2)])
    assert (plain.layer, plain.invertible, deep.layer, deep.invertible) == (0, True, 2, False)
    assert (deep.dim_in, deep.dim) == (6, 4)
    torch.testing.assert_close(deep(X), trained_block(2)(trained_block(1)(plain(X))))
    with pytest.raises(ValueError, match=r"Z\^\(2\) cannot"):
        deep.inverse(deep(X))


def test_the_identity_changes_nothing() -> None:
    front = Front.identity(6)
    assert torch.equal(front(X), X)
    assert torch.equal(front.inverse(X), X)


def test_a_front_keeps_no_gradients() -> None:
    assert not Front(PREPARED, [trained_block()])(X).requires_grad


@pytest.mark.parametrize("blocks", [0, 2])
@pytest.mark.parametrize("components", [None, 4])
def test_a_front_is_restored_from_its_config_and_tensors(
    blocks: int, components: int | None
) -> None:
    spec = PreparationSpec(transform="sqrt", components=components, normalise=True)
    prepared = preparation.fit(X.numpy(), spec)
    adapter = [block(prepared.dim, seed) for seed in range(blocks)]
    front = Front(prepared, adapter)
    again = Front.restore(front.config, front.state_dict())
    assert torch.equal(again(X), front(X))
    assert again.config == front.config
