"""`glico` jobs at the front: what they take and refuse, their plan, and samples of what they make."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.tasks import Effects, NewModel
from app.main import create_app
from app.queue import Bell
from app.settings import Settings
from app.store.database import Store
from tests.app.api.conftest import MANIFEST, dataset, ready_dataset, upload, work
from tests.app.api.test_problems import assert_problem
from tests.app.api.test_raw import raw_dataset

COUNTS = {"cat": 8, "dog": 3, "emu": 1}
IMAGES = {
    "modality": "image",
    "rows": 12,
    "classes": list(COUNTS),
    "class_counts": COUNTS,
    "splits": {"train": 12, "val": 0, "test": 0, "unassigned": 0},
    "subdomains": None,
    "columns": {},
}
STAGES = ["prepare", "train", "search", "choose", "classify", "sample", "evaluate", "publish"]


def images(client: TestClient, store: Store, by_split: dict[str, Any] | None = None) -> str:
    """Make a dataset of images and play the worker that reads them."""
    body = {"upload_ids": [upload(client, name="pets.zip")], "modality": "image"}
    made = client.post("/v1/datasets", json=body).json()
    stats = {} if by_split is None else {"class_counts_by_split": by_split}
    work(store, Effects(dataset={"manifest": MANIFEST | IMAGES, "stats": stats}))
    return str(made["id"])


def asked(client: TestClient, spec: dict[str, Any], path: str = "", **fields: Any) -> Any:
    return client.post(f"/v1/jobs{path}", json={"spec": spec} | fields)


def shown(client: TestClient, spec: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return what a dry run shows."""
    answer = asked(client, spec, "/validate", **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def submitted(client: TestClient, spec: dict[str, Any]) -> dict[str, Any]:
    answer = asked(client, spec)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(client: TestClient, spec: dict[str, Any], code: str, param: str) -> str:
    """Return the sentence with which a dry run and a job are refused alike."""
    problem = assert_problem(asked(client, spec, "/validate"), 422, code)
    assert problem["param"] == f"spec.{param}"
    assert assert_problem(asked(client, spec), 422, code)["detail"] == problem["detail"]
    detail: str = problem["detail"]
    return detail


def glico(dataset: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "glico", "dataset": dataset} | fields


def test_a_glico_job_is_taken_with_its_defaults_and_stages(
    client: TestClient, store: Store
) -> None:
    job = submitted(client, glico(images(client, store)))
    assert [step["code"] for step in job["steps"]] == STAGES
    assert job["spec"]["plan"]["multiply"] == 10
    assert job["spec"]["output"] == {"format": "imagefolder"}
    assert job["evaluate"]["enabled"]
    with store.write() as tx:
        claim = tx.tasks.claim({"cpu"}, "tests", 60.0)
    assert claim is not None
    assert (claim.stage, claim.inputs["dataset"]["modality"]) == ("prepare", "image")


def test_it_waits_for_a_dataset_that_is_in_the_making(client: TestClient) -> None:
    body = {"upload_ids": [upload(client, name="pets.zip")], "modality": "image"}
    made = client.post("/v1/datasets", json=body).json()
    found = shown(client, glico(made["id"]))
    assert (found["plan"]["requested"], found["blocked_by"]) == (None, [made["job_id"]])


@pytest.mark.parametrize("modality", ["embedding", "audio", "text"])
def test_only_images_are_taken_and_others_are_told_where_they_belong(
    client: TestClient, store: Store, modality: str
) -> None:
    embedded = modality == "embedding"
    named = ready_dataset(client, store) if embedded else raw_dataset(client, store, modality)
    told = refused(client, glico(named), "input_unsuitable", "dataset")
    assert ("embeddings" if embedded else modality) in told
    assert ("encoder" in told) is not embedded


def test_the_plan_leaves_out_classes_that_no_pair_can_be_made_of(
    client: TestClient, store: Store
) -> None:
    found = shown(client, glico(images(client, store), plan={"raise_to": 10}))["plan"]
    assert found["requested"] == {"cat": 2, "dog": 7, "emu": 0}
    assert found["cells"] is None
    sharded = [stage["code"] for stage in found["stages"] if stage["sharded"]]
    assert sharded == ["search", "classify", "sample"]


def test_images_outside_training_make_no_pair(client: TestClient, store: Store) -> None:
    by_split = {"train": {"cat": 8, "dog": 1, "emu": 0}, "test": {"dog": 2, "emu": 1}}
    spec = glico(images(client, store, by_split), plan={"per_class": 4})
    assert shown(client, spec)["plan"]["requested"] == {"cat": 4, "dog": 0, "emu": 0}


@pytest.mark.parametrize(
    ("train", "word"), [({"dog": 1, "emu": 1}, "1 image of 'dog'"), ({}, "no image")]
)
def test_a_dataset_without_any_class_of_two_images_is_refused(
    client: TestClient, store: Store, train: dict[str, int], word: str
) -> None:
    spec = glico(images(client, store, {"train": train, "test": {"cat": 8}}))
    assert word in refused(client, spec, "too_few_images", "dataset")


@pytest.mark.parametrize(
    ("fields", "code", "param", "word"),
    [
        ({"plan": {"per_class": {"cow": 3}}}, "unknown_class", "plan.per_class", "'cow'"),
        ({"plan": {"per_class": 9_000_000}}, "plan_too_large", "plan", "27,000,000"),
        (
            {"plan": {"cells": [{"subdomain": "sea", "rows": 1}]}},
            "cells_need_subdomains",
            "plan.cells",
            "no subdomains",
        ),
        ({"size": 48}, "invalid", "size", "48"),
        (
            {"reconstruction": {"external_weights": False, "perceptual": "vgg16"}},
            "external_weights_forbidden",
            "reconstruction.perceptual",
            "vgg16",
        ),
        (
            {"classifier": {"backbone": "../etc"}},
            "model_not_allowed",
            "classifier.backbone",
            "clip",
        ),
        (
            {"reconstruction": {"perceptual": "all-MiniLM-L6-v2"}},
            "model_not_allowed",
            "reconstruction.perceptual",
            "dinov2",
        ),
        ({"subdomains": {"source": "one_hot"}}, "unknown_field", "subdomains", "no such field"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_glico_job_cannot_do_is_refused_with_the_field(
    client: TestClient, store: Store, fields: dict[str, Any], code: str, param: str, word: str
) -> None:
    assert word in refused(client, glico(images(client, store), **fields), code, param)


def test_conditions_of_release_are_judged_by_a_glico_job_too(
    client: TestClient, store: Store
) -> None:
    spec, gate = glico(images(client, store)), {"min_gain_low": 0.0}
    assert shown(client, spec, release_if=gate)["release_if"] == gate
    blind = asked(client, spec, release_if=gate, evaluate={"enabled": False})
    assert_problem(blind, 422, "release_not_measurable")


def trained(client: TestClient, store: Store, spec: dict[str, Any]) -> dict[str, Any]:
    """Take a job to its end, as workers would, and return it."""
    job = submitted(client, spec)
    config = {"method": spec["kind"], "class_counts": {"cat": 6, "dog": 1}}
    before = {"glico": 4, "gelda": 3}[spec["kind"]]  # stages with one task, but for the last
    effects = [Effects()] * before
    work(store, *effects, Effects(generator=NewModel({}, config)))
    ended: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").json()
    assert ended["state"] == "succeeded"
    return ended


def sample(generator: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "sample", "generator": generator, "plan": {"per_class": 5}} | fields


def test_more_images_are_drawn_of_a_glico_generator_by_either_name(
    client: TestClient, store: Store
) -> None:
    job = trained(client, store, glico(images(client, store)))
    for named in (job["id"], job["result"]["generator"]):
        found = shown(client, sample(named, interpolation={"path": "lerp"}))
        assert found["plan"]["requested"] == {"cat": 5, "dog": 0}
        assert found["spec"]["interpolation"]["path"] == "lerp"
        assert found["spec"]["output"] is None
    kept = submitted(client, sample(job["id"], output={"format": "imagefolder"}))
    assert kept["spec"]["output"] == {"format": "imagefolder"}
    cells = [{"subdomain": "sea", "rows": 1}]
    spec = sample(job["id"], plan={"cells": cells})
    refused(client, spec, "cells_need_subdomains", "plan.cells")


@pytest.mark.parametrize(
    ("kind", "fields", "param", "word"),
    [
        ("glico", {"sampler": {"steps": 20}}, "sampler", "interpolation"),
        ("glico", {"output": {"format": "npz"}}, "output.format", "expected imagefolder"),
        ("gelda", {"interpolation": {"path": "lerp"}}, "interpolation", "sampler"),
        ("gelda", {"output": {"format": "imagefolder"}}, "output.format", "expected npz, parquet"),
    ],
)
@pytest.mark.parametrize("ended", [False, True])
def test_a_field_of_the_other_method_is_refused_before_and_after_there_is_a_generator(
    client: TestClient,
    store: Store,
    kind: str,
    fields: dict[str, Any],
    param: str,
    word: str,
    ended: bool,
) -> None:
    made = images(client, store) if kind == "glico" else ready_dataset(client, store)
    spec = {"kind": kind, "dataset": made}
    job = trained(client, store, spec) if ended else submitted(client, spec)
    named = job["result"]["generator"] if ended else job["id"]
    assert word in refused(client, sample(named, **fields), "not_of_this_method", param)


def test_a_format_that_no_method_writes_is_refused_by_name(
    client: TestClient, store: Store
) -> None:
    job = submitted(client, glico(images(client, store)))
    told = refused(client, sample(job["id"], output={"format": "tiff"}), "invalid", "output")
    assert "'imagefolder'" in told


@pytest.mark.parametrize("through_sample", [False, True])
def test_a_classifier_job_mixes_no_images_in(
    client: TestClient, store: Store, through_sample: bool
) -> None:
    job = submitted(client, glico(images(client, store)))
    mixed = submitted(client, sample(job["id"])) if through_sample else job
    spec = {"kind": "classifier", "dataset": dataset(client)["id"], "mix": [mixed["id"]]}
    assert "makes images" in refused(client, spec, "input_unsuitable", "mix")


def test_models_that_read_images_are_listed_for_it(
    api_settings: Settings, client: TestClient, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "vgg16"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    settings = api_settings.model_copy(update={"models": str(folder.parent)})
    app = create_app(settings, store=store, blobs=client.app.state.services.blobs, bell=Bell(None))
    other = TestClient(app, headers=client.headers)
    methods = {one["kind"]: one for one in other.get("/v1/methods").json()["data"]}
    named = [model["id"] for model in methods["glico"]["models"]]
    assert named[0] == "vgg16"
    assert "facebook/dinov2-small" in named
    assert not {"all-MiniLM-L6-v2", "openai/whisper-tiny"} & set(named)
    assert methods["glico"]["modalities"] == ["image"]
    assert methods["sample"]["modalities"] == ["embedding", "image"]
    spec = glico(images(other, store), reconstruction={"perceptual": "vgg16"})
    submitted(other, spec | {"classifier": {"backbone": "facebook/dinov2-small"}})
