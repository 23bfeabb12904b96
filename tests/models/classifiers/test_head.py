"""A head learns, and owes nothing to anything but its arguments."""

import numpy as np
import pytest
import torch

from models.classifiers.head import Head
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.front.blocks import AdapterBlock

QUICK = HeadSpec(epochs=2)


def blobs(rows=60, classes=4, dim=6, seed=0):
    rng = np.random.default_rng(seed)
    means = 4 * rng.standard_normal((classes, dim))
    y = np.repeat(np.arange(classes), rows)
    x = means[y] + rng.standard_normal((len(y), dim))
    return (x - x.mean(axis=0)).astype(np.float32), y


def block(dim=6, p=0.0, seed=2):
    made = AdapterBlock(dim, 12, p)
    made.initialise(torch.Generator().manual_seed(seed))
    return made


@pytest.mark.parametrize("kind", ["linear", "kernel", "cosine", "mlp"])
@pytest.mark.parametrize("loss", ["cross_entropy", "logit_adjusted"])
@pytest.mark.parametrize("blocks", [0, 2])
def test_every_head_separates_what_is_separable(kind, loss, blocks):
    x, y = blobs()
    head = fit_head(
        x, y, 4, HeadSpec(head=kind, loss=loss, epochs=4), seed=1, blocks=[block()] * blocks
    )
    assert (head.predict(x) == y).mean() > 0.97


@pytest.mark.parametrize("kind", ["linear", "kernel", "cosine", "mlp"])
@pytest.mark.parametrize("blocks", [0, 1])
def test_a_restored_head_gives_the_same_logits(kind, blocks):
    x, y = blobs()
    names = ["a", "b", "c", "d"]
    spec = QUICK.model_copy(update={"head": kind, "hidden": 16})
    head = fit_head(
        x, y, 4, spec, seed=1, classes=names, similarity=np.eye(4), blocks=[block()] * blocks
    )
    restored = Head.restore(head.config, head.network.state_dict())
    np.testing.assert_array_equal(restored.logits(x), head.logits(x))
    assert restored.classes == tuple(names)
    assert restored.spec == spec


def test_logits_come_in_one_shape_from_float16_and_from_many_rows():
    x, y = blobs()
    head = fit_head(x.astype(np.float16), y, 4, QUICK, seed=1)
    many = np.tile(x, (80, 1)).astype(np.float16)
    logits = head.logits(many)
    assert logits.dtype == np.float32
    assert logits.shape == (len(many), 4)
    np.testing.assert_allclose(logits[: len(x)], logits[-len(x) :], rtol=1e-4, atol=1e-4)
    assert head.logits(x[:0]).shape == (0, 4)


@pytest.mark.parametrize(("kind", "blocks"), [("cosine", 0), ("mlp", 0), ("linear", 1)])
def test_training_neither_reads_nor_moves_the_global_generator(kind, blocks):
    x, y = blobs()
    spec = QUICK.model_copy(update={"head": kind})

    def logits(seed):
        return fit_head(x, y, 4, spec, seed=seed, blocks=[block(p=0.2)] * blocks).logits(x)

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = logits(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    np.testing.assert_array_equal(logits(3), first)
    assert not np.array_equal(logits(4), first)


def test_blocks_are_fine_tuned_as_copies():
    x, y = blobs()
    mine = block()
    before = {name: tensor.clone() for name, tensor in mine.state_dict().items()}
    head = fit_head(x, y, 4, QUICK, seed=1, blocks=[mine])
    assert all(torch.equal(tensor, before[name]) for name, tensor in mine.state_dict().items())
    theirs = head.network.blocks[0].state_dict()
    assert not torch.equal(theirs["out.weight"], before["out.weight"])


def test_the_penalty_pulls_blocks_towards_those_that_came():
    x, y = blobs()
    moved = []
    for penalty in (0.0, 1.0):
        spec = HeadSpec(epochs=8, weight_decay=penalty)
        head = fit_head(x, y, 4, spec, seed=1, blocks=[block()])
        moved.append(
            sum(
                float((new - old).detach().square().sum())
                for new, old in zip(
                    head.network.blocks.parameters(), block().parameters(), strict=True
                )
            )
        )
    assert moved[1] < 0.2 * moved[0]
