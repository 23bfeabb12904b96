"""GLICO jobs of other shapes: unevaluated, withheld, with classes of no use, at fault; and samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.jobs import Job, JobState
from models.encoders.folder import FOLDERS_VARIABLE
from tests.models.encoders import tiny
from tests.models.glico.test_perceptual import folder as vgg16
from tests.workers.pictures import archive, png
from tests.workers.pipelines.test_glico_stages import SIZES, TINY, archived, images, worked

if TYPE_CHECKING:
    from tests.workers.conftest import Service

OFF: dict[str, Any] = {"enabled": False}
QUICK: dict[str, Any] = {"seeds": 1, "penalties": [1.0], "budget": 1, "controls": []}


@pytest.fixture(scope="module")
def spec(alone: Service) -> dict[str, Any]:
    return TINY | {"dataset": images(alone, archive(SIZES))}


def ended(service: Service, spec: dict[str, Any], **more: Any) -> Job:
    """Return a job when it has ended."""
    job = service.job(spec, **more)
    worked(service, job)
    return service.get(job)


def error(job: Job) -> tuple[str, str]:
    assert job.state is JobState.FAILED
    assert job.error is not None
    return job.error["code"], job.error["detail"]


@pytest.fixture(scope="module")
def plain(alone: Service, spec: dict[str, Any]) -> Job:
    """A job that only makes images."""
    job = ended(alone, spec, evaluate=OFF)
    assert job.state is JobState.SUCCEEDED, job.error
    return job


def test_without_evaluation_one_classifier_is_trained_and_nothing_is_compared(
    alone: Service, plain: Job
) -> None:
    assert {step.code: step.max for step in plain.steps if step.max}["classify"] == 1
    assert set(alone.artifacts(plain.id)) == {
        "card.md", "lineage.parquet", "manifest.json", "paths.png", "samples.png", "synthetic.zip",
    }  # fmt: skip
    with alone.store.read() as tx:
        classifier = tx.classifiers.by_job(alone.tenant, plain.id)
        generator = tx.generators.by_job(alone.tenant, plain.id)
    assert classifier is not None
    assert generator is not None
    assert classifier.config["trained_on"] == "glico"
    # No image is set aside for nobody to look at.
    assert generator.config["class_counts"] == SIZES
    manifest = json.loads(alone.read(plain.id, "manifest.json"))
    assert manifest["external_weights"] == {"allowed": True, "used": []}
    assert manifest["compute"]["generator"]["steps"] == 8


def test_what_does_not_hold_its_conditions_is_withheld_with_its_pictures(
    alone: Service, spec: dict[str, Any]
) -> None:
    job = ended(alone, spec, evaluate=QUICK, release_if={"min_gain": 100.0})
    code, detail = error(job)
    assert (code, "min_gain" in detail) == ("not_released", True)
    assert set(alone.artifacts(job.id)) == {"report.json", "report.html"}
    assert "data:image/png" not in alone.read(job.id, "report.html").decode()
    with alone.store.read() as tx:
        assert tx.generators.by_job(alone.tenant, job.id) is None
        assert tx.classifiers.by_job(alone.tenant, job.id) is None


def test_a_class_without_training_images_is_skipped_and_named_and_the_split_is_the_dataset_s(
    alone: Service,
) -> None:
    parts = {f"train/{name}": 6 for name in ("ant", "bee")} | {
        f"val/{n}": 5 for n in ("ant", "bee")
    }
    parts |= {f"test/{name}": 8 for name in ("ant", "bee", "emu")}
    dataset = images(alone, archive(parts))
    spec = TINY | {"dataset": dataset, "plan": {"per_class": 3}}
    job = ended(alone, spec, evaluate=QUICK)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    assert (job.result["skipped"], job.result["rows"]) == ({"emu": 3}, 6)
    assert (job.counts["requested"], job.counts["skipped"], job.counts["generated"]) == (6, 3, 6)
    _, lines = archived(alone, job.id)
    assert {line["label"] for line in lines} == {"ant", "bee"}
    assert all(name.startswith("train/") for line in lines for name in line["parents"])
    report = json.loads(alone.read(job.id, "report.json"))
    assert "emu (3 asked for)" in report["facts"]["skipped"]
    assert "emu (3 asked for)" in alone.read(job.id, "card.md").decode()
    assert report["splits"]["rows"] == {"train": 12, "val": 10, "test": 24}
    assert report["splits"]["made_here"] == []
    # One candidate an arm: there is nothing to look at, and nothing is trained to look at it.
    assert report["choice"]["trials"] == []
    assert report["choice"]["settings"]["real"] == {"penalty": 1.0}


def test_an_empty_plan_gives_a_classifier_and_an_archive_of_nothing(
    alone: Service, spec: dict[str, Any]
) -> None:
    job = ended(alone, spec | {"plan": {"per_class": 0}}, evaluate=QUICK)
    assert job.state is JobState.SUCCEEDED, job.error
    artifacts = alone.artifacts(job.id)
    assert "paths.png" in artifacts
    assert "samples.png" not in artifacts
    assert job.result is not None
    assert (job.result["rows"], "classifier" in job.result) == (0, True)


def test_images_without_a_label_and_of_other_sizes_take_no_part_but_for_their_size(
    alone: Service,
) -> None:
    loose = {f"{number}.png": png(0, number, 40) for number in range(12)}
    dataset, _ = alone.dataset(archive(SIZES, 40, **loose), "zoo.zip", "image", unlabelled=True)
    worked(alone, f"ingest-{dataset}")
    job = ended(alone, TINY | {"dataset": dataset}, evaluate=OFF)
    assert job.state is JobState.SUCCEEDED, job.error
    pixels, _ = archived(alone, job.id)
    assert pixels.shape[1:] == (32, 32, 3), "the nearest of the sides to 40"
    with alone.store.read() as tx:
        generator = tx.generators.by_job(alone.tenant, job.id)
    assert generator is not None
    assert generator.config["class_counts"] == SIZES


@pytest.mark.parametrize(
    ("fields", "code", "word"),
    [
        ({"plan": {"per_class": {"cow": 3}}}, "unknown_class", "'cow'"),
        ({"reconstruction": {"perceptual": "no-vgg"}}, "model_not_allowed", "'no-vgg'"),
        ({"classifier": {"backbone": "no-vit"}}, "model_not_allowed", "'no-vit'"),
    ],
)
def test_what_is_at_fault_fails_the_job_in_words(
    alone: Service, spec: dict[str, Any], fields: dict[str, Any], code: str, word: str
) -> None:
    changed = {name: {**TINY.get(name, {}), **value} for name, value in fields.items()}
    changed |= {"plan": fields.get("plan", {"per_class": 1})}
    job = ended(alone, spec | changed, evaluate=OFF)
    assert error(job)[0] == code
    assert word in error(job)[1]


def test_weights_of_others_are_named_wherever_the_result_is_told(
    alone: Service, spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path))
    vgg16(tmp_path / "vgg16")
    tiny.make("vit", tmp_path / "vit")
    changed = {
        "reconstruction": TINY["reconstruction"] | {"perceptual": "vgg16", "steps": 2},
        "classifier": {"backbone": "vit", "steps": 2, "batch_size": 4},
    }
    job = ended(alone, spec | changed, evaluate=OFF)
    assert job.state is JobState.SUCCEEDED, job.error
    with alone.store.read() as tx:
        generator = tx.generators.by_job(alone.tenant, job.id)
        classifier = tx.classifiers.by_job(alone.tenant, job.id)
    assert generator is not None
    assert classifier is not None
    assert generator.config["loss"] == "perceptual:vgg16"
    used = {"allowed": True, "used": ["vgg16", "vit"]}
    manifest = json.loads(alone.read(job.id, "manifest.json"))
    assert manifest["external_weights"] == used
    assert generator.config["external_weights"] == classifier.config["external_weights"] == used
    assert "vgg16 (perceptual loss" in alone.read(job.id, "card.md").decode()
    assert classifier.config["onnx"]["largest_difference"] <= 1e-3


def test_embeddings_are_refused(alone: Service, latents: Any) -> None:
    dataset, _ = alone.dataset(latents())
    worked(alone, f"ingest-{dataset}")
    code, detail = error(ended(alone, TINY | {"dataset": dataset}))
    assert (code, "embedding" in detail) == ("input_unsuitable", True)


def sample(plain: Job, **fields: Any) -> dict[str, Any]:
    assert plain.result is not None
    generator = plain.result["generator"]
    return {"kind": "sample", "generator": generator, "plan": {"per_class": 5}} | fields


def test_samples_of_the_same_seed_are_the_same_images_and_more_of_them_begin_alike(
    alone: Service, plain: Job
) -> None:
    first = ended(alone, sample(plain))
    assert first.state is JobState.SUCCEEDED, first.error
    assert alone.artifacts(first.id)["synthetic.zip"] == alone.artifacts(plain.id)["synthetic.zip"]
    assert first.result is not None
    assert plain.result is not None
    assert first.result["trained_on"] == plain.result["trained_on"]
    more = ended(alone, sample(plain, plan={"per_class": {"bee": 9}}))
    (_, old), (_, new) = archived(alone, plain.id), archived(alone, more.id)
    assert [line["item_id"] for line in new] == [f"1-{n}" for n in range(9)]
    assert [line["parents"] for line in new[:5]] == [line["parents"] for line in old[5:10]]
    other = ended(alone, sample(plain), seed=8)
    assert alone.artifacts(other.id)["synthetic.zip"] != alone.artifacts(first.id)["synthetic.zip"]


def test_samples_may_go_another_way_from_image_to_image(alone: Service, plain: Job) -> None:
    job = ended(alone, sample(plain, interpolation={"parents": 3, "low": 0.5, "high": 0.5}))
    _, lines = archived(alone, job.id)
    assert {len(line["parents"]) for line in lines} == {3}
    assert all(line["weights"][0] == pytest.approx(0.5, abs=1e-5) for line in lines)
    manifest = json.loads(alone.read(job.id, "manifest.json"))
    assert manifest["interpolation"]["parents"] == 3
    alike = ended(alone, sample(plain, interpolation={"path": "none"}))
    assert {len(line["parents"]) for line in archived(alone, alike.id)[1]} == {1}


def test_settings_of_the_other_method_are_refused_by_the_job_too(
    alone: Service, plain: Job
) -> None:
    for field, value in (("sampler", {"steps": 4}), ("output", {"format": "npz"})):
        code, detail = error(ended(alone, sample(plain, **{field: value})))
        assert (code, "GLICO" in detail) == ("not_of_this_method", True)
