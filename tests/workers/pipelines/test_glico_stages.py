"""A GLICO job's tasks, run one by one in this process: what they hand out, and that stops change no byte."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
from PIL import Image

from app.domain.jobs import JobState
from models.images.classifier import ImageClassifier
from tests.workers.here import Here
from tests.workers.pictures import archive
from workers.pipelines import image_classifiers

if TYPE_CHECKING:
    from tests.workers.conftest import Service

FILES = ("synthetic.zip", "lineage.parquet", "predictions.npz", "samples.png", "paths.png")
SIZES = {"ant": 24, "bee": 16, "cat": 10}
ARMS = ["real", "glico", "cutout", "cross_fade", "published"]
EVALUATE: dict[str, Any] = {
    "seeds": 2, "penalties": [1.0, 4.0], "budget": 2, "controls": ARMS[2:],
}  # fmt: skip
TINY: dict[str, Any] = {
    "kind": "glico",
    "decoder": {"code_dim": 16, "width": 8},
    "reconstruction": {"steps": 8, "batch_size": 8, "checkpoint_steps": 4},
    "plan": {"per_class": 5},
    "classifier": {
        "network": "resnet-8", "width": 4, "steps": 6, "batch_size": 8, "checkpoint_steps": 3,
    },
}  # fmt: skip


def worked(service: Service, name: str, stops: dict[str, list[int]] | None = None) -> Here:
    """Run what is to be done."""
    here = Here(service, service.settings.home / name, stops or {})
    here.work()
    return here


def images(service: Service, data: bytes, name: str = "zoo.zip") -> str:
    """Return a dataset of pictures."""
    dataset, ingest = service.dataset(data, name, "image")
    worked(service, f"ingest-{dataset}")
    assert service.get(ingest).state is JobState.SUCCEEDED, service.get(ingest).error
    return dataset


@pytest.fixture(scope="module")
def spec(alone: Service) -> dict[str, Any]:
    return TINY | {"dataset": images(alone, archive(SIZES))}


@pytest.fixture(scope="module")
def trainings() -> Iterator[list[int]]:
    """The seeds of all classifiers that are trained, one after the other."""
    seeds: list[int] = []
    fit = image_classifiers.fit

    def counted(*arguments: Any, **more: Any) -> ImageClassifier:
        seeds.append(arguments[4])
        return fit(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_classifiers, "fit", counted)
        yield seeds


@pytest.fixture(scope="module")
def calm(alone: Service, spec: dict[str, Any], trainings: list[int]) -> tuple[str, Here]:
    """A job that nothing interrupted, and who worked on it."""
    job = alone.job(spec, evaluate=EVALUATE)
    here = worked(alone, "calm")
    assert alone.get(job).state is JobState.SUCCEEDED, alone.get(job).error
    assert len(trainings) == 10 + len(ARMS), "the settings, and the second seed of each arm"
    return job, here


def made(service: Service, job_id: str) -> dict[str, str]:
    """Return sha-256 by name of all that a job hands out and that names no job nor seconds."""
    assert service.get(job_id).state is JobState.SUCCEEDED, service.get(job_id).error
    files = {name: service.artifacts(job_id)[name] for name in FILES}
    with service.store.read() as tx:
        models = (
            tx.generators.by_job(service.tenant, job_id),
            tx.classifiers.by_job(service.tenant, job_id),
        )
    for model in models:
        assert model is not None
        files |= {name: blob["sha256"] for name, blob in model.files.items()}
    return files


def report(service: Service, job_id: str) -> dict[str, Any]:
    """Return a job's report without what depends on who worked on it: seconds."""
    found: dict[str, Any] = json.loads(service.read(job_id, "report.json"))
    compute = found["facts"]["compute"]
    for cost in (compute["generator"], *compute["classifiers"].values()):
        for name in [name for name in cost if name.startswith("seconds")]:
            assert cost.pop(name) > 0
    return found


def archived(service: Service, job_id: str) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Return the images of a job's archive, and the lines of its metadata."""
    with zipfile.ZipFile(io.BytesIO(service.read(job_id, "synthetic.zip"))) as found:
        lines = [json.loads(line) for line in found.read("metadata.jsonl").splitlines()]
        pixels = [np.asarray(Image.open(found.open(line["file_name"]))) for line in lines]
    return np.stack(pixels), lines


def test_every_training_is_resumed_and_no_byte_changes(
    alone: Service, spec: dict[str, Any], calm: tuple[str, Here]
) -> None:
    job, once = calm
    tasks = Counter(stage for stage, *_ in once.attempts)
    assert tasks == {
        "prepare": 1, "train": 1, "search": 10, "choose": 1, "classify": 10, "sample": 1,
        "evaluate": 1, "publish": 1,
    }  # fmt: skip
    stops = {
        "prepare": [7], "train": [5, 2], "search": [4], "classify": [0, 4], "sample": [0],
        "evaluate": [3], "publish": [4],
    }  # fmt: skip
    stormy = alone.job(spec, evaluate=EVALUATE)
    often = worked(alone, "stormy", stops)
    assert [step for stage, _, step in often.attempts if stage == "train"] == [0, 5, 7]
    searched = [step for stage, shard, step in often.attempts if (stage, shard) == ("search", 0)]
    assert searched == [0, 4]
    runs = Counter(stage for stage, *_ in often.attempts)
    more = {"prepare": 1, "train": 2, "search": 1, "sample": 1, "evaluate": 1, "publish": 1}
    assert {stage: n for stage, n in (runs - tasks).items() if stage != "classify"} == more
    assert made(alone, stormy) == made(alone, job)
    assert report(alone, stormy) == report(alone, job)


def test_images_are_of_their_class_and_name_the_training_images_they_are_of(
    alone: Service, calm: tuple[str, Here]
) -> None:
    job, _ = calm
    pixels, lines = archived(alone, job)
    assert pixels.shape == (15, 16, 16, 3)
    assert Counter(line["label"] for line in lines) == dict.fromkeys(SIZES, 5)
    with np.load(io.BytesIO(alone.read(job, "predictions.npz"))) as arrays:
        tested = set(arrays["rows"].tolist())
    first = dict(zip(SIZES, np.cumsum([0, *SIZES.values()]), strict=False))
    for line in lines:
        assert line["file_name"] == f"{line['label']}/{line['item_id']}.png"
        assert len(set(line["parent_rows"])) == 2
        assert not tested & set(line["parent_rows"]), "a test image was a parent"
        rows = [int(name[4:7]) + first[line["label"]] for name in line["parents"]]
        assert rows == line["parent_rows"]
        assert sum(line["weights"]) == pytest.approx(1)
    colours = pixels.mean(axis=(1, 2))
    assert [int(colour.argmax()) for colour in colours] == [0] * 5 + [1] * 5 + [2] * 5
    lineage = pq.read_table(io.BytesIO(alone.read(job, "lineage.parquet"))).to_pylist()
    assert [row["parent_ids"] for row in lineage] == [line["parents"] for line in lines]


def test_the_report_compares_the_arms_and_says_what_each_cost(
    alone: Service, calm: tuple[str, Here]
) -> None:
    job, _ = calm
    found = report(alone, job)
    assert [row["name"] for row in found["table"]["rows"]] == ARMS
    assert Counter(one["arm"] for one in found["choice"]["trials"]) == dict.fromkeys(ARMS, 2)
    cost = found["facts"]["compute"]
    assert cost["generator"] == {"steps": 8, "images": 64}
    classifiers = cost["classifiers"]
    assert {arm: one["generator_steps"] for arm, one in classifiers.items()} == {
        "real": 0, "glico": 8, "cutout": 0, "cross_fade": 0, "published": 8,
    }  # fmt: skip
    assert {one["classifier_steps"] for one in classifiers.values()} == {6}
    assert (classifiers["glico"]["settings_tried"], classifiers["glico"]["trainings"]) == (2, 2)
    assert found["facts"]["external_weights"] == {"allowed": True, "used": []}
    assert found["facts"]["reconstruction_loss"] == "laplacian"
    assert found["facts"]["nearest_ratio_in_pixels"] > 0
    assert found["splits"]["made_here"] == ["val", "test"]
    page = alone.read(job, "report.html").decode()
    assert page.count("data:image/png;base64,") == 2
    assert "What each arm cost" in page
    assert "classifier_steps" not in page
    for name in ("samples.png", "paths.png"):
        with Image.open(io.BytesIO(alone.read(job, name))) as picture:
            assert picture.width > picture.height > 100


def test_the_classifier_says_the_same_in_torch_in_onnx_and_in_the_report(
    alone: Service, calm: tuple[str, Here]
) -> None:
    job, _ = calm
    with alone.store.read() as tx:
        classifier = tx.classifiers.by_job(alone.tenant, job)
    assert classifier is not None
    assert set(classifier.files) == {
        "card.md", "classifier.onnx", "classifier.safetensors", "config.json",
    }  # fmt: skip
    folder = alone.settings.home / "handed"
    folder.mkdir()
    for name, blob in classifier.files.items():
        (folder / name).write_bytes(
            alone.blobs.local_path(alone.tenant, blob["sha256"]).read_bytes()
        )
    loaded, (pixels, _) = ImageClassifier.load(folder), archived(alone, job)
    session = onnxruntime.InferenceSession(folder / "classifier.onnx")
    logits = session.run(["logits"], {"images": pixels})[0]
    np.testing.assert_allclose(logits, loaded.logits(pixels), atol=1e-4)
    config = classifier.config
    assert config["classes"] == list(SIZES)
    assert config["trained_on"] == report(alone, job)["classifier"]["trained_on"]
    assert 0 <= config["onnx"]["largest_difference"] <= 1e-3
    card = (folder / "card.md").read_text()
    assert "cultivar.load_classifier" in card
    assert report(alone, job)["verdict"]["sentence"] in card


def test_classifiers_too_large_to_keep_are_trained_again_and_are_the_same(
    alone: Service,
    spec: dict[str, Any],
    calm: tuple[str, Here],
    trainings: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(image_classifiers, "KEPT_BYTES", 0)
    trainings.clear()
    again = alone.job(spec, evaluate=EVALUATE)
    worked(alone, "again")
    assert Counter(Counter(trainings).values()) == {15: 1, 5: 1}, "two seeds, the same in every arm"
    assert made(alone, again) == made(alone, calm[0])
