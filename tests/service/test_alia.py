"""ALIA's whole path through the service, by the SDK: a zip, a look at descriptions and at edits, a classifier."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cultivar import Client, Job, UnprocessableEntityError
from cultivar.specs import (
    Alia,
    ConfidenceSpec,
    EditSpec,
    EvaluateSpec,
    FilterSpec,
    ImageClassifierSpec,
    SemanticSpec,
    SummariseSpec,
)
from models.encoders.folder import FOLDERS_VARIABLE
from tests.service.conftest import Json, Service
from tests.workers.alia_zoo import COLUMNS, EDITOR, GRASS, NIGHT, PREFIX, RAIN, TINY, models, zoo

SPEC: Json = {
    "subject": "pet",
    "summarise": SummariseSpec(prefix=PREFIX, model=None),
    "descriptions": [RAIN, NIGHT],
    "edit": EditSpec(**EDITOR),
    "filters": FilterSpec(
        semantic=SemanticSpec(switch="off", model="clip"), confidence=ConfidenceSpec(switch="off")
    ),
    "classifier": ImageClassifierSpec(**TINY["classifier"]),
}
OFF = EvaluateSpec(enabled=False)


@pytest.fixture(scope="module", autouse=True)
def _at_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The models that jobs name, for a service that starts after this."""
    with pytest.MonkeyPatch.context() as patch:
        folder = models(tmp_path_factory.mktemp("alia") / "models")
        patch.setenv(FOLDERS_VARIABLE, str(folder))
        yield


@pytest.fixture(scope="module")
def dataset(service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("zoo") / "zoo.zip"
    path.write_bytes(zoo())
    made = service.client.datasets.upload(path, modality="image", columns=COLUMNS, progress=False)
    found: str = made.id
    return found


@pytest.fixture(scope="module")
def described(service: Service, dataset: str) -> Job:
    """A job that waits for a look at its descriptions."""
    spec = Alia(dataset=dataset, per_class=2, seed=7, pause_after="summarise", review="all", **SPEC)
    return service.client.jobs.create(spec, evaluate=OFF).wait(timeout=150, progress=False)


@pytest.fixture(scope="module")
def edited(described: Job) -> Job:
    """The same, with other descriptions, when it waits for a look at its edits."""
    assert (described.state, described.awaiting) == ("awaiting_review", "descriptions")
    (proposed,) = described.artifacts
    assert proposed.name == "descriptions.json"
    described.review(descriptions=[NIGHT, GRASS]).resume()
    return described.wait(timeout=150, progress=False)


def test_edits_are_looked_at_beside_their_sources_and_one_is_rejected(
    service: Service, edited: Job, tmp_path: Path
) -> None:
    assert edited.awaiting == "edits"
    items = list(edited.items())
    assert len(items) == 6
    assert {item.description for item in items} == {NIGHT, GRASS}
    files = edited.download_items(tmp_path / "items", progress=False)
    assert len(files) == 2 * len(items)
    with zipfile.ZipFile(io.BytesIO(zoo())) as originals:
        for item in items:
            before = np.asarray(Image.open(tmp_path / "items" / f"{item.id}-before.png"))
            after = np.asarray(Image.open(tmp_path / "items" / f"{item.id}-after.png"))
            assert item.source is not None
            source = np.asarray(Image.open(originals.open(item.source)))
            np.testing.assert_array_equal(before, source)
            assert after.shape == before.shape
            assert item.source.startswith(f"train/{item.label}")
    out = items[0].id
    edited.review(accept=items[1].id, reject=out)
    assert (edited.reviews.accepted, edited.reviews.rejected) == ((items[1].id,), (out,))

    job = edited.resume().wait(timeout=150, progress=False)
    assert job.state == "succeeded"
    made = job.images(tmp_path / "images", progress=False)
    assert {line["item_id"] for line in made.items} == {item.id for item in items[1:]}
    assert all(line["prompt"] == line["domain"].format(line["label"]) for line in made.items)
    manifest = job.download(tmp_path, ["manifest.json"], progress=False)[0]
    told = json.loads(manifest.read_text())
    assert told["descriptions"] == [NIGHT, GRASS]
    assert [model["id"] for model in told["models"]] == ["sd", "clip"]
    classifier = job.classifier.load()
    assert classifier.classes == ("ant", "bee", "cat")
    assert set(classifier.predict(made.paths)) <= set(classifier.classes)


def test_a_model_that_is_not_on_the_list_is_refused_with_its_field(
    service: Service, dataset: str
) -> None:
    client: Client = service.client
    edit = EditSpec(**EDITOR | {"model": "../somewhere"})
    with pytest.raises(UnprocessableEntityError, match="not on the service's list") as refused:
        client.jobs.create(
            Alia(dataset=dataset, per_class=1, **SPEC | {"edit": edit}), evaluate=OFF
        )
    assert (refused.value.code, refused.value.param) == ("model_not_allowed", "spec.edit.model")
