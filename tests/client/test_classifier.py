"""A classifier comes back in a line and says in numpy what the service's own says."""

import asyncio
import itertools
import json
import pickle

import numpy as np
import pytest
import torch

from cultivar import (
    AsyncClient,
    CultivarError,
    InvalidInput,
    LocalClassifier,
    TrainedClassifier,
    load_classifier,
)
from cultivar.specs import Classifier as ClassifierSpec
from cultivar.specs import EvaluateSpec
from models.classifiers.classifier import Classifier
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.front import preparation
from models.front.blocks import AdapterBlock
from models.front.front import Front
from models.front.spec import PreparationSpec

NAMES = ("ash", "élan", "fir")
PREPARATIONS = [
    PreparationSpec(transform=root, standardise=standardise, components=kept, normalise=length)
    for root, standardise, kept, length in itertools.product(
        ("none", "sqrt"), (True, False), (None, 6), (False, True)
    )
]


def embeddings(seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(3), 30)
    x = 2 * rng.standard_normal((3, 9))[y] + rng.standard_normal((len(y), 9))
    x[:, 4] = 1.5  # a constant dimension
    return x.astype(np.float32), y


def block(dim, seed):
    made = AdapterBlock(dim, 11)
    made.initialise(torch.Generator().manual_seed(seed))
    for tensor in (made.out.weight, made.into.bias, made.out.bias):
        torch.nn.init.normal_(tensor, std=0.3, generator=torch.Generator().manual_seed(seed + 1))
    return made


def saved(folder, spec=None, kind="linear", *, below=0, above=0, classes=NAMES):
    x, y = embeddings()
    prepared = preparation.fit(x, spec or PreparationSpec())
    front = Front(prepared, [block(prepared.dim, seed) for seed in range(below)])
    classifier = Classifier(
        front,
        fit_head(
            preparation.transformed(front, x),
            y,
            3,
            HeadSpec(head=kind, hidden=16, epochs=1),
            0,
            similarity=0.5 * np.eye(3) + 0.5,
            blocks=[block(front.dim, 10 + seed) for seed in range(above)],
            classes=classes,
        ),
    )
    classifier.save(folder)
    return classifier


def assert_same(folder, classifier):
    x, _ = embeddings(1)
    loaded = load_classifier(folder)
    np.testing.assert_allclose(loaded.logits(x), classifier.logits(x), rtol=1e-4, atol=1e-4)
    said = loaded.predict(x)
    assert (said == np.array(NAMES)[classifier.predict(x)]).all()
    assert set(said) == set(NAMES)
    assert loaded.predict_proba(x).dtype == np.float32
    np.testing.assert_allclose(loaded.predict_proba(x).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("spec", PREPARATIONS, ids=lambda spec: spec.model_dump_json())
def test_every_preparation_gives_the_services_own_logits(spec, tmp_path):
    assert_same(tmp_path, saved(tmp_path, spec))


@pytest.mark.parametrize("kind", ["linear", "cosine", "mlp", "kernel"])
@pytest.mark.parametrize(("below", "above"), [(0, 0), (1, 0), (0, 1), (1, 2)])
def test_every_head_gives_the_services_own_logits_on_any_layer(kind, below, above, tmp_path):
    spec = PreparationSpec(components=7)
    assert_same(tmp_path, saved(tmp_path, spec, kind, below=below, above=above))


def test_rows_may_be_lists_float16_tensors_or_none_at_all(tmp_path):
    saved(tmp_path)
    loaded = load_classifier(str(tmp_path))
    x, _ = embeddings()
    said = loaded.predict(x).tolist()
    assert loaded.predict(x.tolist()).tolist() == said
    assert loaded.predict(torch.from_numpy(x)).tolist() == said
    assert (loaded.predict(x.astype(np.float16)) == np.array(said)).mean() > 0.95
    assert loaded.predict(x[:0]).shape == (0,)
    assert loaded.predict_proba(x[:0]).shape == (0, 3)
    many = loaded.logits(np.tile(x, (200, 1)))
    np.testing.assert_allclose(many[-len(x) :], loaded.logits(x), atol=1e-5)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.zeros((2, 8)), r"shape \(2, 8\); expected n × 9$"),
        (np.zeros(9), r"shape \(9,\); expected n × 9; one embedding is a row, x\[None\]"),
        (np.zeros((1, 2, 9)), r"shape \(1, 2, 9\)"),
        ([[0.0] * 9, [0.0] * 8], "n × 9 numbers"),
        ([["a"] * 9], "type <U1; expected numbers"),
        (np.zeros((2, 9), complex), "expected numbers"),
    ],
)
def test_rows_of_another_shape_or_kind_are_refused(x, told, tmp_path):
    saved(tmp_path)
    with pytest.raises(InvalidInput, match=told):
        load_classifier(tmp_path).predict(x)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_value_that_is_no_finite_number_is_named_with_its_place(value, tmp_path):
    saved(tmp_path)
    x = np.zeros((20_000, 9))
    x[18_000, 3] = value
    with pytest.raises(InvalidInput, match=r"row 18000, column 3; expected finite"):
        load_classifier(tmp_path).predict_proba(x)


def test_without_names_classes_are_numbers_in_digits(tmp_path):
    saved(tmp_path, classes=None)
    assert load_classifier(tmp_path).classes == ("0", "1", "2")


def test_a_loaded_classifier_can_be_sent_to_another_process(tmp_path):
    saved(tmp_path, kind="mlp", above=1)
    loaded = load_classifier(tmp_path)
    again = pickle.loads(pickle.dumps(loaded))
    x, _ = embeddings()
    np.testing.assert_array_equal(again.logits(x), loaded.logits(x))
    assert repr(again) == "<LocalClassifier 9 dimensions, 3 classes>"


def test_a_folder_that_holds_no_classifier_is_refused(tmp_path):
    with pytest.raises(CultivarError, match=r"config\.json is missing"):
        load_classifier(tmp_path)
    saved(tmp_path)
    (tmp_path / "classifier.safetensors").rename(tmp_path / "elsewhere")
    with pytest.raises(CultivarError, match=r"classifier\.safetensors is missing"):
        load_classifier(tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / "classifier.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": "cultivar-head/1"}))
    with pytest.raises(CultivarError, match="cultivar-head/1"):
        load_classifier(tmp_path)


def test_weights_that_do_not_fit_the_settings_are_refused(tmp_path):
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"n_classes": 4}))
    with pytest.raises(
        CultivarError, match=r"head\.weight of shape \(4, 9\), found shape \(3, 9\)"
    ):
        load_classifier(tmp_path)


@pytest.fixture(scope="module")
def job(local, dataset):
    spec = ClassifierSpec(dataset=dataset)
    return local.jobs.create(spec, evaluate=EvaluateSpec(seeds=1)).wait(progress=False)


def test_a_job_hands_its_classifier_over_in_a_line(local, job, arrays):
    loaded = job.classifier.load()
    assert isinstance(loaded, LocalClassifier)
    truth = arrays["classes"][arrays["y_test"]]
    assert (loaded.predict(arrays["x_test"]) == truth).mean() > 0.8
    (listed,) = local.classifiers.list()
    assert isinstance(listed, TrainedClassifier)
    assert listed.id == job.classifier.id
    assert listed.load().classes == loaded.classes == ("ash", "birch", "cedar")


def test_what_was_downloaded_is_loaded_from_its_folder(local, job, arrays, tmp_path):
    local.classifiers.download(job.classifier, tmp_path, progress=False)
    x = arrays["x_test"]
    np.testing.assert_array_equal(
        load_classifier(tmp_path).logits(x), job.classifier.load().logits(x)
    )


def test_the_asynchronous_client_hands_it_over_too(local, job, arrays):
    async def predicted():
        async with AsyncClient(local.base_url, local._connection.api_key) as client:
            theirs = await client.jobs.get(job.id)
            loaded = await (await theirs.classifier()).load()
            (listed,) = [one async for one in client.classifiers.list()]
            assert (await listed.load()).classes == loaded.classes
            return loaded.predict(arrays["x_test"])

    expected = job.classifier.load().predict(arrays["x_test"])
    assert asyncio.run(predicted()).tolist() == expected.tolist()


def test_a_record_of_no_client_says_how_files_are_read(job):
    alone = TrainedClassifier.model_validate(job.classifier.model_dump())
    with pytest.raises(CultivarError, match="load_classifier"):
        alone.load()


def test_a_classifier_without_its_weights_is_refused(local, job):
    record = job.classifier
    older = record.model_copy(update={"files": {"head.safetensors": {}}})
    with pytest.raises(CultivarError, match=r"has no classifier\.safetensors.*head\.safetensors"):
        TrainedClassifier.of(local, older).load()
