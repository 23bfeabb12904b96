"""`alia` jobs at the front: what they take and refuse, which models they may name, and their plan."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.jobs import PIPELINES
from app.main import create_app
from app.queue import Bell
from app.settings import Settings
from app.store.database import Store
from models.alia.spec import CAPTIONER, EDITORS, IMAGE_TEXT, LANGUAGE_MODEL
from tests.app.api.conftest import dataset, ready_dataset, upload
from tests.app.api.test_glico import asked, images, refused, sample, shown, submitted
from tests.app.api.test_problems import assert_problem
from tests.app.api.test_raw import raw_dataset

SNOW = "a photo of a {} in the snow"


def alia(dataset: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "alia", "dataset": dataset} | fields


def listed(client: TestClient) -> dict[str, dict[str, Any]]:
    """Return the models that an `alia` spec may name, by id."""
    methods = {one["kind"]: one for one in client.get("/v1/methods").json()["data"]}
    models = methods["alia"]["models"]
    assert len({one["id"] for one in models}) == len(models)
    return {one["id"]: one for one in models}


@pytest.fixture
def with_folders(
    api_settings: Settings, client: TestClient, store: Store, tmp_path: Path
) -> TestClient:
    """A service whose operator has a model and a pipeline of his own."""
    for name, marker in (("my-captioner", "config.json"), ("my-editor", "model_index.json")):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / marker).write_text("{}")
    settings = api_settings.model_copy(update={"models": str(tmp_path / "models")})
    app = create_app(settings, store=store, blobs=client.app.state.services.blobs, bell=Bell(None))
    return TestClient(app, headers=client.headers)


def test_an_alia_job_is_taken_with_its_defaults_and_stages(
    client: TestClient, store: Store
) -> None:
    named = images(client, store)
    job = submitted(client, alia(named))
    assert [step["code"] for step in job["steps"]] == [one.code for one in PIPELINES["alia"]]
    assert job["spec"]["captions"]["model"] == CAPTIONER
    assert (job["spec"]["extra"], job["evaluate"]["enabled"]) == (None, True)
    with store.write() as tx:
        claim = tx.tasks.claim({"cpu"}, "tests", 60.0)
    assert claim is not None
    assert (claim.stage, set(claim.inputs)) == ("prepare", {"dataset"})


def test_a_worker_is_given_the_extra_images_too(client: TestClient, store: Store) -> None:
    named, extra = images(client, store), images(client, store)
    found = shown(client, alia(named, extra=extra))
    assert {one["param"]: one["id"] for one in found["inputs"]} == {
        "spec.dataset": named,
        "spec.extra": extra,
    }
    submitted(client, alia(named, extra=extra))
    with store.write() as tx:
        claim = tx.tasks.claim({"cpu"}, "tests", 60.0)
    assert claim is not None
    assert claim.inputs["extra"]["modality"] == "image"


def test_it_waits_for_both_datasets(client: TestClient) -> None:
    body = {"upload_ids": [upload(client, name="more.zip")], "modality": "image"}
    extra = client.post("/v1/datasets", json=body).json()
    found = shown(client, alia(extra["id"]))
    assert (found["plan"]["requested"], found["blocked_by"]) == (None, [extra["job_id"]])
    body = {"upload_ids": [upload(client, name="some.zip")], "modality": "image"}
    named = client.post("/v1/datasets", json=body).json()
    found = shown(client, alia(named["id"], extra=extra["id"]))
    assert set(found["blocked_by"]) == {named["job_id"], extra["job_id"]}


@pytest.mark.parametrize("field", ["dataset", "extra"])
@pytest.mark.parametrize("modality", ["embedding", "audio", "text"])
def test_only_images_are_taken(client: TestClient, store: Store, modality: str, field: str) -> None:
    embedded = modality == "embedding"
    other = ready_dataset(client, store) if embedded else raw_dataset(client, store, modality)
    spec = alia(images(client, store)) | {field: other}
    told = refused(client, spec, "input_unsuitable", field)
    assert ("embeddings" if embedded else modality) in told
    assert "alia edits images" in told


def test_a_dataset_is_not_its_own_extra(client: TestClient, store: Store) -> None:
    named = images(client, store)
    assert "itself" in refused(client, alia(named, extra=named), "input_unsuitable", "extra")
    missing = alia(named, extra=f"ds_{0:032x}")
    assert "no such dataset" in refused(client, missing, "input_not_found", "extra")


def test_the_plan_leaves_out_classes_without_an_image_to_edit(
    client: TestClient, store: Store
) -> None:
    by_split = {"train": {"cat": 8, "dog": 1, "emu": 0}, "test": {"dog": 2, "emu": 1}}
    spec = alia(images(client, store, by_split), plan={"per_class": 4})
    found = shown(client, spec)["plan"]
    assert found["requested"] == {"cat": 4, "dog": 4, "emu": 0}
    sharded = [stage["code"] for stage in found["stages"] if stage["sharded"]]
    assert sharded == ["caption", "folds", "edit", "search", "top_up", "classify"]


@pytest.mark.parametrize(
    ("train", "code", "word"),
    [({}, "too_few_images", "found none"), ({"cat": 5}, "single_class", "'cat'")],
)
def test_a_dataset_that_no_classifier_could_learn_of_is_refused(
    client: TestClient, store: Store, train: dict[str, int], code: str, word: str
) -> None:
    spec = alia(images(client, store, {"train": train, "test": {"dog": 3}}))
    assert word in refused(client, spec, code, "dataset")


@pytest.mark.parametrize(
    ("fields", "code", "param", "word"),
    [
        ({"plan": {"per_class": {"cow": 3}}}, "unknown_class", "plan.per_class", "'cow'"),
        ({"plan": {"per_class": 9_000_000}}, "plan_too_large", "plan", "27,000,000"),
        (
            {"plan": {"cells": [{"subdomain": "sea", "rows": 1}]}},
            "cells_need_subdomains",
            "plan.cells",
            "per_class",
        ),
        ({"descriptions": ["a photo in the snow"]}, "bad_description", "descriptions", "{}"),
        ({"descriptions": ["a photo of a {} and a cat"]}, "bad_description", "descriptions", "cat"),
        ({"descriptions": [SNOW, SNOW]}, "bad_description", "descriptions", "description 0"),
        ({"edit": {"strength": 0}}, "invalid", "edit.strength", "0"),
        ({"edit": {"editor": "magic"}}, "invalid", "edit.editor", "img2img"),
        ({"pause_after": "edit"}, "invalid", "pause_after", "summarise"),
        ({"output": {"format": "npz"}}, "invalid", "output.format", "webdataset"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_alia_job_cannot_do_is_refused_with_the_field(
    client: TestClient, store: Store, fields: dict[str, Any], code: str, param: str, word: str
) -> None:
    assert word in refused(client, alia(images(client, store), **fields), code, param)


def test_its_default_models_are_listed_first_with_licence_and_memory(client: TestClient) -> None:
    models = listed(client)
    defaults = {CAPTIONER, LANGUAGE_MODEL, IMAGE_TEXT, *EDITORS.values()}
    assert set(list(models)[: len(defaults)]) == defaults
    for name in defaults:
        assert models[name]["licence"]
        assert models[name]["memory_megabytes"] > 0
        assert models[name]["default_of"]
    stable = models[EDITORS["img2img"]]
    assert stable["licence"] == "CreativeML OpenRAIL-M"
    assert stable["default_of"] == ["edit.model of img2img", "edit.model of txt2img"]
    assert models[IMAGE_TEXT]["role"].startswith("image-text model, backbone of a classifier")
    assert "facebook/dinov2-small" in models
    assert models["facebook/dinov2-small"]["default_of"] == []


def test_an_operators_models_and_pipelines_may_be_named(
    with_folders: TestClient, store: Store
) -> None:
    models = listed(with_folders)
    assert models["my-editor"]["licence"] == "as in its folder"
    spec = alia(images(with_folders, store), captions={"model": "my-captioner"})
    spec |= {"edit": {"model": "my-editor"}, "text_to_image": "my-editor"}
    assert submitted(with_folders, spec)["spec"]["text_to_image"] == "my-editor"


OTHER = "someone/else"


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"captions": {"model": OTHER}}, "captions.model", CAPTIONER),
        ({"captions": {"model": LANGUAGE_MODEL}}, "captions.model", CAPTIONER),
        ({"summarise": {"model": "/etc"}}, "summarise.model", LANGUAGE_MODEL),
        ({"edit": {"model": OTHER}}, "edit.model", EDITORS["img2img"]),
        (
            {"edit": {"editor": "lcm", "model": EDITORS["img2img"]}},
            "edit.model",
            EDITORS["lcm"],
        ),
        ({"text_to_image": EDITORS["instruct_pix2pix"]}, "text_to_image", EDITORS["txt2img"]),
        ({"filters": {"semantic": {"model": OTHER}}}, "filters.semantic.model", IMAGE_TEXT),
        ({"classifier": {"backbone": CAPTIONER}}, "classifier.backbone", "facebook/dinov2-small"),
    ],
)
def test_a_model_off_the_list_or_of_another_kind_is_refused_with_those_that_may_be_named(
    client: TestClient, store: Store, fields: dict[str, Any], param: str, word: str
) -> None:
    spec = alia(images(client, store), **fields)
    told = refused(client, spec, "model_not_allowed", param)
    assert word in told


def test_models_that_a_job_has_no_use_for_are_not_looked_at(
    client: TestClient, store: Store
) -> None:
    named = images(client, store)
    known = alia(named, descriptions=[SNOW], captions={"model": OTHER}, summarise={"model": OTHER})
    shown(client, known)
    shown(client, alia(named, summarise={"model": None}))
    off = {"semantic": {"switch": "off", "model": OTHER}}
    shown(client, alia(named, filters=off, avoid_own=False))
    refused(client, alia(named, filters=off), "model_not_allowed", "filters.semantic.model")


def test_conditions_of_release_are_judged_by_an_alia_job_too(
    client: TestClient, store: Store
) -> None:
    spec, gate = alia(images(client, store)), {"min_gain_low": 0.0}
    assert shown(client, spec, release_if=gate)["release_if"] == gate
    blind = asked(client, spec, release_if=gate, evaluate={"enabled": False})
    assert_problem(blind, 422, "release_not_measurable")


def test_an_alia_job_has_no_generator_and_no_latents(client: TestClient, store: Store) -> None:
    job = submitted(client, alia(images(client, store)))
    assert "no generator" in refused(client, sample(job["id"]), "input_unsuitable", "generator")
    spec = {"kind": "classifier", "dataset": dataset(client)["id"], "mix": [job["id"]]}
    assert "no latents" in refused(client, spec, "input_unsuitable", "mix")
