"""A classifier takes the caller's embeddings as they are, and survives a save."""

import json

import numpy as np
import pytest
import torch

from models.classifiers.classifier import Classifier
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.front import preparation
from models.front.blocks import AdapterBlock
from models.front.front import Front
from models.front.spec import PreparationSpec

NAMES = ("ash", "birch", "cedar")


def embeddings(seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(3), 40)
    means = 3 * rng.standard_normal((3, 10))
    return (5 + means[y] + rng.standard_normal((len(y), 10))).astype(np.float32), y


def block(dim, seed):
    made = AdapterBlock(dim, 14)
    made.initialise(torch.Generator().manual_seed(seed))
    torch.nn.init.normal_(
        made.out.weight, std=0.3, generator=torch.Generator().manual_seed(seed + 1)
    )
    return made


def fitted(spec=None, *, below=0, above=0, kind="linear"):
    x, y = embeddings()
    prepared = preparation.fit(x, spec or PreparationSpec())
    front = Front(prepared, [block(prepared.dim, seed) for seed in range(below)])
    head = fit_head(
        preparation.transformed(front, x),
        y,
        3,
        HeadSpec(head=kind, hidden=16, epochs=2),
        0,
        similarity=np.eye(3),
        blocks=[block(front.dim, 10 + seed) for seed in range(above)],
        classes=NAMES,
    )
    return Classifier(front, head)


@pytest.mark.parametrize(("below", "above"), [(0, 0), (1, 0), (0, 1), (1, 2)])
def test_a_saved_classifier_gives_the_same_logits_on_embeddings(below, above, tmp_path):
    x, y = embeddings()
    classifier = fitted(
        PreparationSpec(transform="sqrt", components=7, normalise=True), below=below, above=above
    )
    classifier.save(tmp_path)
    loaded = Classifier.load(tmp_path)
    np.testing.assert_array_equal(loaded.logits(x), classifier.logits(x))
    assert (loaded.predict(x) == y).mean() > 0.95
    assert (loaded.classes, loaded.dim, loaded.n_classes) == (NAMES, 10, 3)
    assert loaded.config == classifier.config
    assert loaded.config["layer"] == below
    files = ["classifier.safetensors", "config.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files


def test_equal_classifiers_are_equal_files(tmp_path):
    for name in ("a", "b"):
        fitted().save(tmp_path / name)
    for file in ("classifier.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_rows_may_be_float16_or_none_at_all():
    x, _ = embeddings()
    classifier = fitted()
    assert classifier.logits(x[:0]).shape == (0, 3)
    assert (classifier.predict(x.astype(np.float16)) == classifier.predict(x)).mean() > 0.98


def test_a_folder_of_another_format_is_refused(tmp_path):
    fitted().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": "other/9"}))
    with pytest.raises(ValueError, match="other/9"):
        Classifier.load(tmp_path)


def test_a_head_on_other_latents_is_refused():
    with pytest.raises(ValueError, match="10 dimensions"):
        Classifier(Front.identity(9), fitted().head)
