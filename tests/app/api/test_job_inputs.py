"""What a job is made of: inputs, uploads, models and generators that a spec names."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.tasks import Effects, NewModel
from app.main import create_app
from app.queue import Bell
from app.settings import Settings
from app.store.database import Store
from tests.app.api.conftest import dataset, gelda, ready_dataset, submit, upload, work
from tests.app.api.test_problems import assert_problem


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/validate"])
def test_a_plan_for_a_class_that_is_not_there_is_refused(
    client: TestClient, store: Store, path: str
) -> None:
    body = gelda(ready_dataset(client, store))
    body["spec"]["plan"] = {"per_class": {"cat": 1, "cow": 2}}
    problem = assert_problem(client.post(path, json=body), 422, "unknown_class")
    assert problem["param"] == "spec.plan.per_class"


def test_inputs_must_be_of_use(client: TestClient, store: Store) -> None:
    dataset_id = ready_dataset(client, store)
    first = submit(client, gelda(dataset_id))
    sample = {"kind": "sample", "generator": first["id"], "plan": {"per_class": 5}}
    sampled = submit(client, {"spec": sample})
    nested = {"spec": {**sample, "generator": sampled["id"]}}
    assert_problem(client.post("/v1/jobs", json=nested), 422, "input_unsuitable")
    unknown = {"spec": {**sample, "generator": "gen_" + "0" * 32}}
    assert_problem(client.post("/v1/jobs", json=unknown), 422, "input_not_found")
    client.post(f"/v1/jobs/{first['id']}/cancel")
    assert_problem(client.post("/v1/jobs", json={"spec": sample}), 422, "input_failed")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("classes", {"source": "upload"}),
        ("subdomains", {"source": "upload"}),
        ("classifier.initial", {}),
    ],
)
def test_an_upload_that_a_spec_names_must_be_there_and_whole(
    client: TestClient, path: str, part: dict[str, Any]
) -> None:
    body = gelda(dataset(client)["id"])
    *outer, inner = path.split(".")
    place = body["spec"].setdefault(outer[0], {}) if outer else body["spec"]
    if path == "classifier.initial":
        body["spec"]["preparation"] = [{"standardise": False}]
    begun = client.post("/v1/uploads", json={"filename": "v.npz", "bytes": 5}).json()["id"]
    for upload_id, code in (("up_" + "0" * 32, "input_not_found"), (begun, "upload_incomplete")):
        place[inner] = {**part, "upload": upload_id}
        problem = assert_problem(client.post("/v1/jobs", json=body), 422, code)
        assert problem["param"] == f"spec.{path}.upload"
    place[inner] = {**part, "upload": upload(client, name="v.npz")}
    submit(client, body)


@pytest.mark.parametrize(
    "model", ["someone/model", "../etc", "/models/x", "https://evil.example/m", "unlisted"]
)
def test_a_model_that_is_not_listed_is_refused(
    client: TestClient, store: Store, model: str
) -> None:
    descriptions = {"source": "descriptions", "descriptions": {"a": "b"}, "model": model}
    for field, source in (
        ("classes", {"source": "names", "model": model}),
        ("classes", descriptions),
        ("subdomains", descriptions),
    ):
        body = gelda(ready_dataset(client, store))
        body["spec"][field] = source
        problem = assert_problem(client.post("/v1/jobs", json=body), 422, "model_not_allowed")
        assert problem["param"] == f"spec.{field}.model"


def test_listed_models_may_be_named(
    api_settings: Settings, client: TestClient, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "owl-encoder"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    settings = api_settings.model_copy(update={"models": str(folder.parent)})
    app = create_app(settings, store=store, blobs=client.app.state.services.blobs, bell=Bell(None))
    other = TestClient(app, headers=client.headers)
    (method,) = [one for one in other.get("/v1/methods").json()["data"] if one["kind"] == "gelda"]
    roles = {model["id"]: model["role"] for model in method["models"]}
    assert list(roles)[:2] == ["all-MiniLM-L6-v2", "owl-encoder"]
    clip, whisper = "openai/clip-vit-base-patch32", "openai/whisper-tiny"
    assert roles[clip] == "encoder of image and text, from the hub"
    body = gelda(ready_dataset(other, store))
    for model in ("all-MiniLM-L6-v2", "owl-encoder", clip):
        body["spec"]["classes"] = {"source": "names", "model": model}
        submit(other, body)
    body["spec"]["classes"] = {"source": "names", "model": whisper}
    assert_problem(other.post("/v1/jobs", json=body), 422, "model_not_allowed")


def test_a_generator_can_be_named_by_its_job_or_itself(client: TestClient, store: Store) -> None:
    job = submit(client, gelda(ready_dataset(client, store)))
    config = {"method": "gelda", "class_counts": {"cat": 20, "dog": 10}}
    generator = NewModel(files={}, config=config)
    work(store, Effects(), Effects(), Effects(), Effects(generator=generator))
    ended = client.get(f"/v1/jobs/{job['id']}").json()
    assert ended["state"] == "succeeded"
    for named in (ended["result"]["generator"], job["id"]):
        sample = {"kind": "sample", "generator": named, "plan": {"match": "largest"}}
        shown = client.post("/v1/jobs/validate", json={"spec": sample}).json()
        assert shown["plan"]["requested"] == {"cat": 0, "dog": 10}
        assert submit(client, {"spec": sample})["blocked_by"] == []
