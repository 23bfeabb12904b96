"""ALIA jobs of other shapes: unevaluated, as shards, exhausted, short of memory, withheld."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from diffusers import AutoencoderKL
from PIL import Image

from app.domain.jobs import Job, JobState
from models.alia.editing.engine import Edited, Editor, Order
from models.encoders.folder import FOLDERS_VARIABLE
from tests.models.alia import tiny_diffusion
from tests.workers import alia_zoo
from tests.workers.alia_zoo import (
    CLASSES,
    OFF,
    PARTS,
    TINY,
    archived,
    error,
    lineage,
    lines_of,
    models,
    pictures,
    to_review,
    waits_for,
    worked,
    zoo,
)
from workers.pipelines import alia_plan
from workers.shelf import Shelf

ended = partial(alia_zoo.ended, shelf=Shelf())
"""Jobs of one worker, which keeps its models loaded."""

if TYPE_CHECKING:
    from tests.workers.conftest import Service

QUICK: dict[str, Any] = {"seeds": 1, "penalties": [1.0], "budget": 4, "controls": []}
BLIND: dict[str, Any] = {
    "avoid_own": False,
    "filters": {
        "semantic": {"switch": "off", "model": "no-such-model"},
        "confidence": {"switch": "off"},
    },
}
"""What makes a job do without an image-text model, whatever its name."""


def semantic(negative: str, switch: str = "on") -> dict[str, Any]:
    """Return filters with one that drops what looks like these words to the tiny image-text model.

    To it everything is "a painting", nothing "paper", and some "a blot".
    """
    off = TINY["filters"]["confidence"]
    found = {"switch": switch, "model": "clip", "negatives": [negative]}
    return {"filters": {"semantic": found, "confidence": off}}


@pytest.fixture(scope="module", autouse=True)
def at_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The models that jobs name, one of which makes black images, and tasks of few edits."""
    folder = models(tmp_path_factory.mktemp("alia") / "models")
    dark = tiny_diffusion.stable(folder / "dark") / "vae"
    decoder = AutoencoderKL.from_pretrained(dark)
    decoder.decoder.conv_out.weight.data.zero_()
    decoder.decoder.conv_out.bias.data.fill_(-9.0)
    decoder.save_pretrained(dark)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDERS_VARIABLE, str(folder))
        patch.setattr(alia_plan, "EDITS_A_TASK", 8)
        yield folder


@pytest.fixture(scope="module")
def spec(alone: Service) -> dict[str, Any]:
    return TINY | {"dataset": pictures(alone, zoo())}


@pytest.fixture(scope="module")
def plain(alone: Service, spec: dict[str, Any]) -> Job:
    """A job without evaluation and without an image-text model, by a worker that has done nothing else."""
    job = alia_zoo.ended(alone, spec | BLIND)
    assert job.state is JobState.SUCCEEDED, job.error
    return job


def test_without_evaluation_one_classifier_is_trained_and_nothing_is_compared(
    alone: Service, plain: Job
) -> None:
    assert {step.code: step.max for step in plain.steps if step.max}["classify"] == 1
    assert set(alone.artifacts(plain.id)) == {
        "card.md", "descriptions.json", "edits.png", "edits.zip", "lineage.parquet",
        "manifest.json", "pairs.zip",
    }  # fmt: skip
    with alone.store.read() as tx:
        classifier = tx.classifiers.by_job(alone.tenant, plain.id)
        assert tx.generators.by_job(alone.tenant, plain.id) is None
    assert classifier is not None
    assert classifier.config["trained_on"] == "alia"
    assert "Not measured" in alone.read(plain.id, "card.md").decode()
    counts = {name: plain.counts[name] for name in ("requested", "generated", "filtered", "failed")}
    assert counts == {"requested": 12, "generated": 12, "filtered": 0, "failed": 0}


def test_without_an_image_text_model_all_sources_of_a_class_are_used_equally_often(
    alone: Service, plain: Job, spec: dict[str, Any]
) -> None:
    manifest = json.loads(alone.read(plain.id, "manifest.json"))
    assert [model["id"] for model in manifest["models"]] == ["sd"]
    assert {name for row in lineage(alone, plain.id) for name in row["scores"]} == {"distance"}
    many = spec | BLIND | {"plan": {"per_class": 12}, "review": "sample", "review_items": 4}
    job = ended(alone, many)
    assert waits_for(job) == "edits"
    slots = _slots(alone, job)
    used = [Counter(slots["sources"][slots["label"] == label, 0].tolist()) for label in range(3)]
    for sources, size in zip(used, PARTS["train"].values(), strict=True):
        assert len(sources) == size
        assert max(sources.values()) - min(sources.values()) <= 1
    items = to_review(alone, job)
    assert len(items) == 4
    assert {one.item.label for one in items} == set(CLASSES), "a sample is even over classes"


def _slots(service: Service, job: Job) -> dict[str, np.ndarray]:
    with service.store.write() as tx:
        tx.reviews.resume(service.tenant, job.id)
        claim = tx.tasks.claim(("cpu", "gpu"), "test", 600)
        assert claim is not None
        tx.jobs.request_cancel(service.tenant, job.id)
        tx.tasks.cancel(claim.lease)
    path = service.blobs.local_path(service.tenant, claim.earlier["plan"][0]["slots"]["sha256"])
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_slots_that_no_filter_lets_be_filled_are_counted_as_failed(
    alone: Service, spec: dict[str, Any]
) -> None:
    job = ended(alone, spec | semantic("a blot") | {"attempts": 1, "plan": {"per_class": 8}})
    assert job.state is JobState.PARTIALLY_SUCCEEDED, job.error
    assert job.result is not None
    failed = job.counts["failed"]
    assert 0 < failed < 24
    assert (job.result["rows"], job.result["unfilled"]) == (24 - failed, failed)
    assert len(lines_of(archived(alone, job.id))) == 24 - failed
    assert f"{failed} edits that were asked for" in alone.read(job.id, "card.md").decode()
    assert "dropped.png" in alone.artifacts(job.id)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (semantic("a painting") | {"attempts": 2}, "24 semantic"),
        (
            {
                "edit": TINY["edit"] | {"model": "dark"},
                "filters": TINY["filters"] | {"duplicate": {"switch": "on"}},
            },
            "12 black",
        ),
        (
            {"filters": TINY["filters"] | {"duplicate": {"switch": "on", "distance": 1.0}}},
            "12 duplicate",
        ),
    ],
)
def test_a_job_of_which_no_edit_is_left_fails_and_says_what_dropped_them(
    alone: Service, spec: dict[str, Any], fields: dict[str, Any], why: str
) -> None:
    job = ended(alone, spec | fields)
    code, param, detail = error(job)
    assert (code, param) == ("no_edit_left", "filters")
    assert why in detail
    assert set(alone.artifacts(job.id)) == {"descriptions.json"}


def test_validation_takes_no_filter_that_leaves_nothing_and_an_empty_control_is_told(
    alone: Service, spec: dict[str, Any]
) -> None:
    evaluate = QUICK | {"controls": ["text_to_image"]}
    fields = semantic("a painting", "auto") | {"text_to_image": "dark"}
    job = ended(alone, spec | fields, evaluate=evaluate)
    assert job.state is JobState.SUCCEEDED, job.error
    report = json.loads(alone.read(job.id, "report.json"))
    tried = [one["setting"]["filters"] for one in report["choice"]["trials"]]
    assert tried == ["semantic", "none"] * 2
    assert report["choice"]["settings"]["alia"]["filters"] == "none"
    told = [
        one for one in report["caveats"] if "none of the 12 images that text to image made" in one
    ]
    assert len(told) == 1


def test_what_does_not_hold_its_conditions_is_withheld_with_its_pictures(
    alone: Service, spec: dict[str, Any]
) -> None:
    job = ended(alone, spec, evaluate=QUICK, release_if={"min_gain": 100.0})
    code, _, detail = error(job)
    assert (code, "min_gain" in detail) == ("not_released", True)
    assert set(alone.artifacts(job.id)) == {"descriptions.json", "report.html", "report.json"}
    assert "data:image/png" not in alone.read(job.id, "report.html").decode()
    with alone.store.read() as tx:
        assert tx.classifiers.by_job(alone.tenant, job.id) is None


@pytest.fixture(scope="module")
def shards(alone: Service, spec: dict[str, Any]) -> str:
    """The same for WebDataset, by a worker whose editor has just edited another dataset."""
    others = {"dataset": pictures(alone, zoo(seed=2)), "review": "all"}
    before = alone.job(spec | BLIND | others, evaluate=OFF)
    output = {"format": "webdataset", "pairs": False}
    job = alone.job(spec | BLIND | {"output": output}, evaluate=OFF)
    worked(alone, "shards")
    assert alone.get(before).state is JobState.AWAITING_REVIEW, alone.get(before).error
    assert alone.get(job).state is JobState.SUCCEEDED, alone.get(job).error
    return job


def test_an_editor_that_stays_loaded_edits_every_dataset_s_own_images(
    alone: Service, plain: Job, shards: str
) -> None:
    assert lineage(alone, shards) == [
        row | {"file_name": f"{row['item_id']}.png"} for row in lineage(alone, plain.id)
    ]


def test_an_archive_for_webdataset_has_images_and_what_is_known_of_them_by_key(
    alone: Service, plain: Job, shards: str
) -> None:
    assert not {"pairs.zip", "edits.zip"} & set(alone.artifacts(shards))
    archive = archived(alone, plain.id)
    with tarfile.open(fileobj=io.BytesIO(alone.read(shards, "edits.tar"))) as tar:
        files = ((one.name, tar.extractfile(one)) for one in tar)
        found = {name: file.read() for name, file in files if file is not None}
    for line in lines_of(archive):
        key = line["item_id"]
        assert found.pop(f"{key}.png") == archive.read(line["file_name"])
        assert json.loads(found.pop(f"{key}.json")) == line | {"file_name": f"{key}.png"}
    assert not found


def test_after_memory_did_not_suffice_half_the_batch_gives_the_same_edits_and_is_told(
    alone: Service, spec: dict[str, Any], plain: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit, batches = Editor.edit, []

    def edited(self: Editor, orders: Sequence[Order], *more: Any) -> list[Edited]:
        batches.append(self.facts["batch"])
        if len(batches) == 1:
            raise MemoryError
        return edit(self, orders, *more)

    monkeypatch.setattr(Editor, "edit", edited)
    job = ended(alone, spec | BLIND)
    assert job.state is JobState.SUCCEEDED, job.error
    assert sorted(batches) == [2, 4, 4], "of two tasks one was tried twice"
    assert json.loads(alone.read(job.id, "manifest.json"))["batches_halved"] == 1
    assert json.loads(alone.read(plain.id, "manifest.json"))["batches_halved"] == 0
    calm, halved = archived(alone, plain.id), archived(alone, job.id)
    assert calm.namelist() == halved.namelist()
    for line in lines_of(calm):
        one, other = (
            np.asarray(Image.open(found.open(line["file_name"]))) for found in (calm, halved)
        )
        assert np.abs(one.astype(int) - other).max() <= 1
