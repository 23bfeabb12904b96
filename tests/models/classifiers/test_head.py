"""A head learns, survives a save, and owes nothing to anything but its arguments."""

import json

import numpy as np
import pytest
import torch

from models.classifiers.head import Head
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head

QUICK = HeadSpec(epochs=2)


def blobs(rows=60, classes=4, dim=6, seed=0):
    rng = np.random.default_rng(seed)
    means = 4 * rng.standard_normal((classes, dim))
    y = np.repeat(np.arange(classes), rows)
    return (means[y] + rng.standard_normal((len(y), dim))).astype(np.float32), y


@pytest.mark.parametrize("kind", ["linear", "cosine", "mlp"])
@pytest.mark.parametrize("loss", ["cross_entropy", "logit_adjusted"])
def test_every_head_separates_what_is_separable(kind, loss):
    x, y = blobs()
    head = fit_head(x, y, 4, HeadSpec(head=kind, loss=loss, epochs=4), seed=1)
    assert (head.predict(x) == y).mean() > 0.97


@pytest.mark.parametrize("kind", ["linear", "cosine", "mlp"])
def test_a_saved_head_gives_the_same_logits(kind, tmp_path):
    x, y = blobs()
    names = ["a", "b", "c", "d"]
    spec = QUICK.model_copy(update={"head": kind, "hidden": 16})
    head = fit_head(x, y, 4, spec, seed=1, classes=names)
    head.save(tmp_path)
    loaded = Head.load(tmp_path)
    np.testing.assert_array_equal(loaded.logits(x), head.logits(x))
    assert loaded.classes == tuple(names)
    assert loaded.spec == spec
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "head.safetensors"]


def test_a_folder_of_another_format_is_refused(tmp_path):
    x, y = blobs()
    fit_head(x, y, 4, QUICK, seed=1).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": "other/9"}))
    with pytest.raises(ValueError, match="other/9"):
        Head.load(tmp_path)


def test_logits_come_in_one_shape_from_float16_and_from_many_rows():
    x, y = blobs()
    head = fit_head(x.astype(np.float16), y, 4, QUICK, seed=1)
    many = np.tile(x, (80, 1)).astype(np.float16)
    logits = head.logits(many)
    assert logits.dtype == np.float32
    assert logits.shape == (len(many), 4)
    np.testing.assert_allclose(logits[: len(x)], logits[-len(x) :], rtol=1e-4, atol=1e-4)
    assert head.logits(x[:0]).shape == (0, 4)


@pytest.mark.parametrize("kind", ["cosine", "mlp"])
def test_training_neither_reads_nor_moves_the_global_generator(kind):
    x, y = blobs()
    spec = QUICK.model_copy(update={"head": kind})
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = fit_head(x, y, 4, spec, seed=3).logits(x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    np.testing.assert_array_equal(fit_head(x, y, 4, spec, seed=3).logits(x), first)
    assert not np.array_equal(fit_head(x, y, 4, spec, seed=4).logits(x), first)
