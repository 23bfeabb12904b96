"""ALIA jobs that ask: a captioner for captions, a language model for descriptions, a person for a look."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from app.domain.jobs import Job, JobState
from models.encoders.folder import FOLDERS_VARIABLE
from models.images.classifier import ImageClassifier
from tests.workers.alia_zoo import (
    GRASS,
    NIGHT,
    RAIN,
    TINY,
    archived,
    ended,
    error,
    lineage,
    lines_of,
    models,
    pictures,
    pixels,
    to_review,
    waits_for,
    worked,
    zoo,
)
from workers.pipelines import alia_describe, alia_prepare, image_classifiers

if TYPE_CHECKING:
    from tests.workers.conftest import Service


@pytest.fixture(scope="module", autouse=True)
def _at_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The models that jobs name, and tasks of few captions."""
    folder = models(tmp_path_factory.mktemp("alia") / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDERS_VARIABLE, str(folder))
        patch.setattr(alia_prepare, "CAPTIONS_A_TASK", 8)
        yield


@pytest.fixture(scope="module")
def spec(alone: Service) -> dict[str, Any]:
    return TINY | {"dataset": pictures(alone, zoo())}


def resumed(service: Service, job: Job) -> Job:
    """Return a job that waited when it has ended, or waits again."""
    with service.store.write() as tx:
        tx.reviews.resume(service.tenant, job.id)
    worked(service, f"{job.id}-{job.awaiting}")
    return service.get(job.id)


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
