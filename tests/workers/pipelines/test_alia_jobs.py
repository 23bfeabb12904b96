"""ALIA jobs of other shapes: unevaluated, described by captions, reviewed, exhausted, withheld, at fault."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from diffusers import AutoencoderKL
from huggingface_hub import constants
from PIL import Image

from app.domain.jobs import Job, JobState
from app.domain.reviews import ShownItem
from models.alia.editing.engine import Edited, Editor, Order
from models.alia.spec import CAPTIONER
from models.encoders.folder import FOLDERS_VARIABLE
from models.errors import InputProblem
from models.images.classifier import ImageClassifier
from tests.models.alia import tiny_diffusion
from tests.workers.alia_zoo import GRASS, NIGHT, PARTS, RAIN, TINY, models, zoo
from tests.workers.here import Here
from tests.workers.pictures import archive
from tests.workers.pipelines.test_alia_stages import (
    CLASSES,
    archived,
    lineage,
    lines_of,
    pictures,
    worked,
)
from workers.pipelines import alia_describe, alia_models, alia_plan, alia_prepare, image_classifiers

if TYPE_CHECKING:
    from tests.workers.conftest import Service

OFF: dict[str, Any] = {"enabled": False}
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
        patch.setattr(alia_prepare, "CAPTIONS_A_TASK", 8)
        yield folder


@pytest.fixture(scope="module")
def spec(alone: Service) -> dict[str, Any]:
    return TINY | {"dataset": pictures(alone, zoo())}


def ended(service: Service, spec: dict[str, Any], **more: Any) -> Job:
    """Return a job when it has ended, or waits."""
    job = service.job(spec, **({"evaluate": OFF} | more))
    worked(service, job)
    return service.get(job)


def resumed(service: Service, job: Job) -> Job:
    """Return a job that waited when it has ended, or waits again."""
    with service.store.write() as tx:
        tx.reviews.resume(service.tenant, job.id)
    Here(service, service.settings.home / f"{job.id}-{job.awaiting}").work()
    return service.get(job.id)


def error(job: Job) -> tuple[str, str | None, str]:
    assert job.state is JobState.FAILED, job.state
    assert job.error is not None
    return job.error["code"], job.error["param"], job.error["detail"]


def waits_for(job: Job) -> str | None:
    assert job.state is JobState.AWAITING_REVIEW, job.error
    return job.awaiting


def to_review(service: Service, job: Job) -> list[ShownItem]:
    with service.store.read() as tx:
        page, more = tx.reviews.page(service.tenant, job.id, limit=100)
    assert not more
    return page


def pixels(service: Service, sha256: str) -> np.ndarray:
    return np.asarray(Image.open(service.blobs.local_path(service.tenant, sha256)))


@pytest.fixture(scope="module")
def plain(alone: Service, spec: dict[str, Any]) -> Job:
    """A job without evaluation and without an image-text model; memory did not suffice for its first edits."""
    edit, failed = Editor.edit, []

    def edited(self: Editor, orders: Sequence[Order], *more: Any) -> list[Edited]:
        if not failed:
            failed.append(self.facts["batch"])
            raise MemoryError
        return edit(self, orders, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Editor, "edit", edited)
        job = ended(alone, spec | BLIND)
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
    path = service.blobs.local_path(service.tenant, claim.earlier["plan"][0]["slots"])
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


class _Seer:
    """A captioner that sees light and nothing else."""

    def caption(
        self,
        images: Sequence[np.ndarray],
        on_progress: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> list[str]:
        on_progress(len(images), len(images))
        assert not should_stop()
        return [
            f"a photo of an animal {'by night' if image.mean() < 70 else 'on grass'}"
            for image in images
        ]


@pytest.fixture
def trained_with(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The images of all classifiers that are trained, one after the other."""
    seen: list[np.ndarray] = []
    fit = image_classifiers.fit

    def counted(*arguments: Any, **more: Any) -> ImageClassifier:
        seen.append(np.asarray(arguments[0]))
        return fit(*arguments, **more)

    monkeypatch.setattr(image_classifiers, "fit", counted)
    return seen


def test_a_person_changes_descriptions_and_rejects_edits_and_the_job_goes_on_with_that(
    alone: Service,
    spec: dict[str, Any],
    trained_with: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alia_describe, "load_captioner", lambda *_: _Seer())
    asked = {"captions": {"model": "blip", "batch_size": 8}, "descriptions": None}
    job = ended(alone, spec | asked | {"pause_after": "summarise", "review": "all"})
    assert waits_for(job) == "descriptions"
    assert job.result is not None
    assert job.result["descriptions"] == [GRASS, NIGHT], "day is commoner than night"
    assert job.result["described_by"] == "phrases"
    assert job.counts["captioned"] == 22
    assert {step.code: step.max for step in job.steps if step.max}["caption"] == 3
    captions = [json.loads(x) for x in alone.read(job.id, "captions.jsonl").splitlines()]
    assert [one["item_id"].split("/")[1][:3] for one in captions] == [x["label"] for x in captions]
    assert Counter(one["caption"] for one in captions)["a photo of an animal by night"] == 9
    assert json.loads(alone.read(job.id, "descriptions.json"))["how"] == "phrases"
    with alone.store.write() as tx:
        tx.reviews.describe(alone.tenant, job.id, [NIGHT, RAIN])

    job = resumed(alone, job)
    assert waits_for(job) == "edits"
    items = to_review(alone, job)
    assert len(items) == 12
    with alone.store.write() as tx:
        out = [one.item.item_id for one in items[:2]]
        tx.reviews.judge(alone.tenant, job.id, accept=[items[2].item.item_id], reject=out)
    job = resumed(alone, job)
    assert job.state is JobState.SUCCEEDED, job.error
    counts = {name: job.counts[name] for name in ("generated", "filtered", "rejected", "failed")}
    assert counts == {"generated": 12, "filtered": 0, "rejected": 2, "failed": 0}
    lines = lines_of(archived(alone, job.id))
    assert {line["item_id"] for line in lines} == {one.item.item_id for one in items[2:]}
    assert {line["domain"] for line in lines} == {NIGHT, RAIN}
    decisions = {row["item_id"]: row["decision"] for row in lineage(alone, job.id)}
    assert {name for name, decision in decisions.items() if decision == "rejected"} == set(out)
    assert [len(x) for x in trained_with] == [22 + 10]
    rejected = [pixels(alone, one.item.after.sha256) for one in items[:2]]
    assert not any((image == one).all() for image in trained_with[0] for one in rejected)


def test_what_a_person_looks_at_is_each_edit_beside_its_source(
    alone: Service, spec: dict[str, Any]
) -> None:
    job = ended(alone, spec | {"review": "all", "plan": {"per_class": 2}})
    items = to_review(alone, job)
    for one in items:
        item = one.item
        assert item.before is not None
        assert item.source is not None
        assert item.source.startswith(f"train/{item.label}")
        assert (item.decision, item.media_type, one.verdict) == ("kept", "image/png", None)
        assert item.description in (RAIN, NIGHT, GRASS)
        before, after = (pixels(alone, x.sha256) for x in (item.before, item.after))
        apart = float(np.sqrt(((before.astype(float) - after) ** 2).mean())) / 255
        assert apart == pytest.approx(item.scores["distance"], abs=1e-3)
    with alone.store.write() as tx:
        ids = [one.item.item_id for one in items]
        tx.reviews.judge(alone.tenant, job.id, accept=[], reject=ids)
    code, param, _ = error(resumed(alone, job))
    assert (code, param) == ("no_edit_left", "review"), "a person may reject all"


def test_descriptions_that_a_person_spoils_fail_the_job_in_words(
    alone: Service, spec: dict[str, Any]
) -> None:
    job = ended(alone, spec | {"pause_after": "summarise"})
    assert waits_for(job) == "descriptions"
    with alone.store.write() as tx:
        tx.reviews.describe(alone.tenant, job.id, ["a {} beside a bee"])
    code, param, detail = error(resumed(alone, job))
    assert (code, param) == ("bad_description", "descriptions")
    assert "'bee'" in detail


def test_a_language_model_that_babbles_fails_the_job_in_words(
    alone: Service, spec: dict[str, Any]
) -> None:
    asked = {
        "captions": {"model": "blip", "max_tokens": 6},
        "summarise": {"model": "qwen", "max_tokens": 16, "retries": 1, "turns": 1},
        "descriptions": None,
    }
    code, _, detail = error(ended(alone, spec | asked))
    assert code == "no_descriptions"
    assert len(detail) > 60, "what was answered is quoted"


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
        ({"edit": TINY["edit"] | {"model": "dark"}}, "12 black"),
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


def test_after_memory_did_not_suffice_half_the_batch_gives_the_same_edits_and_is_told(
    alone: Service, spec: dict[str, Any], plain: Job
) -> None:
    assert json.loads(alone.read(plain.id, "manifest.json"))["batches_halved"] == 1
    calm = ended(alone, spec | BLIND | {"review": "all"})
    assert waits_for(calm) == "edits"
    halved = archived(alone, plain.id)
    edits = {line["item_id"]: line["file_name"] for line in lines_of(halved)}
    items = to_review(alone, calm)
    assert [one.item.item_id for one in items] == list(edits)
    for one in items:
        expected = pixels(alone, one.item.after.sha256)
        found = np.asarray(Image.open(halved.open(edits[one.item.item_id])))
        assert np.abs(expected.astype(int) - found).max() <= 1


@pytest.mark.parametrize(
    ("fields", "code", "param", "word"),
    [
        ({"plan": {"per_class": {"cow": 3}}}, "unknown_class", "plan.per_class", "'cow'"),
        ({"plan": {"per_class": 0}}, "empty_plan", "plan", "no edit"),
        ({"edit": {"model": "clip"}}, "model_of_another_kind", "edit.model", "clip"),
        ({"edit": {"model": "no-sd"}}, "model_not_allowed", "edit.model", "'no-sd'"),
        ({"text_to_image": "no-sd"}, None, None, ""),
        ({"classifier": {"backbone": "no-vit"}}, "model_not_allowed", "classifier.backbone", "vit"),
        ({"descriptions": None}, "model_not_at_hand", "captions.model", "cultivar models pull"),
        ({"edit": TINY["edit"] | {"strength": 0.01}}, "no_step_left", "edit.strength", "0.01"),
        ({"descriptions": ["a {} by an ant"]}, "bad_description", "descriptions", "'ant'"),
    ],
)  # fmt: skip
def test_what_is_at_fault_fails_the_job_in_words(
    alone: Service,
    spec: dict[str, Any],
    fields: dict[str, Any],
    code: str | None,
    param: str | None,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    job = ended(alone, spec | {"review": "all"} | fields)
    if code is None:
        assert waits_for(job) == "edits", "what is not needed is not at fault"
        return
    assert error(job)[:2] == (code, param)
    assert word in error(job)[2]


def test_a_download_that_fails_names_the_field_of_the_model(
    alone: Service, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(model: str, **_: Any) -> None:
        raise InputProblem("model_download_failed", f"No hub has {model}.", "model")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(alia_models, "pull", unreachable)
    found = error(ended(alone, spec | {"descriptions": None}))
    assert found == ("model_download_failed", "captions.model", f"No hub has {CAPTIONER}.")


def test_extra_images_of_a_class_that_the_dataset_has_not_are_refused(
    alone: Service, spec: dict[str, Any]
) -> None:
    extra = pictures(alone, zoo({"train": {"ant": 2, "cow": 2}}))
    job = ended(alone, spec | {"extra": extra}, evaluate=QUICK | {"controls": ["extra_real"]})
    code, param, detail = error(job)
    assert (code, param) == ("unknown_class", "extra")
    assert "'cow'" in detail
    assert "ant, bee, cat" in detail


def test_images_that_are_strips_and_rows_that_are_no_images_are_refused(
    alone: Service, latents: Any
) -> None:
    strip = io.BytesIO()
    Image.new("RGB", (200, 4)).save(strip, "PNG")
    dataset, _ = alone.dataset(
        archive({"ant": 3, "bee": 3}, **{"ant/strip.png": strip.getvalue()}), "zoo.zip", "image"
    )
    embedded, _ = alone.dataset(latents())
    worked(alone, f"ingest-{dataset}")
    code, _, detail = error(ended(alone, TINY | {"dataset": dataset, "plan": {"per_class": 8}}))
    assert (code, "200 × 4" in detail) == ("image_too_narrow", True)
    code, param, detail = error(ended(alone, TINY | {"dataset": embedded}))
    assert (code, param, "embedding" in detail) == ("input_unsuitable", "dataset", True)
