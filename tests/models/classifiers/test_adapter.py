"""The adapter makes room for a linear head, and stops before it remembers its rows."""

import numpy as np
import pytest
import torch

from models.classifiers.adapter import PATIENCE, fit_adapter
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.errors import Interrupted
from models.front.front import Front
from models.front.preparation import Preparation, transformed
from models.front.spec import AdapterSpec, PreparationSpec

SPEC = AdapterSpec(blocks=2, width=32, epochs=20, learning_rate=3e-3)
HEAD = HeadSpec()


def corners(n=600, seed=0):
    """Two classes that no line parts: like signs of two dimensions, and unlike ones."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    signs = rng.choice([-1, 1], n)
    corner = np.stack([signs, np.where(y == 1, signs, -signs)], axis=1)
    x = np.concatenate([2 * corner, np.zeros((n, 2))], axis=1) + 0.5 * rng.standard_normal((n, 4))
    return x.astype(np.float32), y


def noise(n, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 6)).astype(np.float32), rng.integers(0, 2, n)


def after(blocks, x):
    """Return the state after the blocks, as a front makes it."""
    front = Front(Preparation(PreparationSpec(standardise=False), x.shape[1]), blocks)
    return transformed(front, x)


def weights(blocks):
    return torch.cat([tensor.flatten() for block in blocks for tensor in block.parameters()])


@pytest.mark.parametrize("loss", ["cross_entropy", "logit_adjusted"])
def test_after_the_blocks_a_line_parts_what_it_could_not(loss):
    x, y = corners()
    new_x, new_y = corners(seed=1)
    blocks = fit_adapter(x, y, 2, SPEC, HeadSpec(loss=loss), 0, held_out=corners(seed=2))
    assert len(blocks) == 2
    before = fit_head(x, y, 2, HEAD, 0).predict(new_x)
    head = fit_head(after(blocks, x), y, 2, HEAD, 0)
    assert (before == new_y).mean() < 0.65
    assert (head.predict(after(blocks, new_x)) == new_y).mean() > 0.93


def test_equal_seeds_give_equal_blocks_and_leave_the_global_generator_alone():
    x, y = corners(120)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = weights(fit_adapter(x, y, 2, SPEC, HEAD, 3))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(weights(fit_adapter(x, y, 2, SPEC, HEAD, 3)), first)
    assert not torch.equal(weights(fit_adapter(x, y, 2, SPEC, HEAD, 4)), first)


def test_training_ends_where_held_out_rows_gain_no_more_and_the_best_blocks_come_back():
    x, y = noise(80, 0)
    looks = []
    spec = SPEC.model_copy(update={"epochs": 200})
    held_out = noise(200, 1)
    blocks = fit_adapter(
        x, y, 2, spec, HEAD, 0, held_out=held_out, on_look=lambda n, loss: looks.append((n, loss))
    )
    best = int(np.argmin([loss for _, loss in looks]))
    assert len(looks) == best + 1 + PATIENCE < 200
    to_the_end = fit_adapter(x, y, 2, spec, HEAD, 0)
    assert weights(to_the_end).norm() > 1.05 * weights(blocks).norm()


def test_rare_classes_count_as_much_as_others_where_logits_are_adjusted():
    x, y = corners()
    # Held-out rows of class 1 are few and look like class 0: only a balanced loss minds much.
    held_x = x[y == 0][:200]
    held_y = np.repeat([0, 1], [196, 4])
    told = {}
    for loss in ("cross_entropy", "logit_adjusted"):
        seen = []
        fit_adapter(
            x,
            y,
            2,
            SPEC.model_copy(update={"epochs": 10}),
            HeadSpec(loss=loss, batch_size=32),
            0,
            held_out=(held_x, held_y),
            on_look=lambda _n, value, seen=seen: seen.append(value),
        )
        told[loss] = seen[-1]
    assert told["logit_adjusted"] > 5 * told["cross_entropy"]


def test_without_held_out_rows_training_goes_to_the_end():
    x, y = corners(64)
    steps = []
    spec = SPEC.model_copy(update={"epochs": 3})
    empty = (x[:0], y[:0])
    fit_adapter(
        x, y, 2, spec, HeadSpec(batch_size=32), 0, held_out=empty, should_stop=lambda: bool(steps.append(1))
    )  # fmt: skip
    assert len(steps) == 6


def test_a_stop_is_obeyed_at_the_next_step():
    x, y = corners(64)
    seen = []
    with pytest.raises(Interrupted):
        fit_adapter(x, y, 2, SPEC, HEAD, 0, should_stop=lambda: seen.append(1) or len(seen) == 4)
    assert len(seen) == 4


def test_no_blocks_are_no_work():
    x, y = corners(64)
    assert fit_adapter(x, y, 2, AdapterSpec(), HEAD, 0, should_stop=lambda: True) == []


@pytest.mark.parametrize("rows", [63, 0])
def test_rows_that_do_not_fit_are_refused(rows):
    x, y = corners(64)
    with pytest.raises(ValueError, match="do not fit"):
        fit_adapter(x[:rows], y if rows else y[:0], 2, SPEC, HEAD, 0)
