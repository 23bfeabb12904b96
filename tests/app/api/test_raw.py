"""Datasets of raw data and the jobs on them: what goes together, and what an `embed` job makes."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.domain.tasks import Effects
from app.store.database import Store
from tests.app.api.conftest import MANIFEST, ready_dataset, upload, work
from tests.app.api.test_problems import assert_problem

ENCODER = {"model": "all-MiniLM-L6-v2"}
RAW = {name: value for name, value in MANIFEST.items() if name not in ("dim", "dtype")}


def raw_dataset(client: TestClient, store: Store, modality: str = "text") -> str:
    """Make a dataset of raw data and play the worker that reads it."""
    name = {"image": "owls.zip", "audio": "owls.tar.gz", "text": "owls.jsonl"}[modality]
    body = {"upload_ids": [upload(client, name=name)], "modality": modality}
    made = client.post("/v1/datasets", json=body | {"columns": {"label": "species"}})
    assert made.status_code == 202, made.text
    work(store, Effects(dataset={"manifest": RAW | {"modality": modality}, "stats": {}}))
    return str(made.json()["id"])


def submitted(client: TestClient, **spec: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json={"spec": spec})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("modality", "name", "format_"),
    [
        ("image", "owls.zip", "zip"),
        ("image", "owls.parquet", "parquet"),
        ("audio", "owls.tgz", "tar"),
        ("text", "owls.csv", "csv"),
        ("text", "owls.ndjson", "jsonl"),
    ],
)
def test_a_suffix_tells_the_format_of_raw_data(
    client: TestClient, modality: str, name: str, format_: str
) -> None:
    body = {"upload_ids": [upload(client, name=name)], "modality": modality}
    made = client.post("/v1/datasets", json=body).json()
    assert (made["modality"], made["format"]) == (modality, format_)
    spec = client.get(f"/v1/jobs/{made['job_id']}").json()["spec"]
    assert spec["columns"]["label"] == "label"


def test_an_embed_job_names_the_dataset_that_it_will_make(client: TestClient, store: Store) -> None:
    job = submitted(client, kind="embed", dataset=raw_dataset(client, store), encoder=ENCODER)
    assert [step["code"] for step in job["steps"]] == ["fetch", "encode", "gather"]
    made = client.get(f"/v1/datasets/{job['result']['dataset']}").json()
    assert (made["state"], made["modality"]) == ("processing", "embedding")
    assert made["name"] == "owls.jsonl · all-MiniLM-L6-v2"

    later = submitted(client, kind="gelda", dataset=made["id"])
    assert later["blocked_by"] == [job["id"]]
    work(store, Effects(), Effects(dataset={"manifest": MANIFEST, "stats": {}}))
    assert client.get(f"/v1/datasets/{made['id']}").json()["state"] == "ready"
    assert client.get(f"/v1/jobs/{later['id']}").json()["blocked_by"] == []


def test_a_canceled_embed_job_leaves_a_failed_dataset_and_a_retry_makes_another(
    client: TestClient, store: Store
) -> None:
    job = submitted(client, kind="embed", dataset=raw_dataset(client, store), encoder=ENCODER)
    client.post(f"/v1/jobs/{job['id']}/cancel")
    first = client.get(f"/v1/datasets/{job['result']['dataset']}").json()
    assert (first["state"], first["error"]["code"]) == ("failed", "canceled")
    again = client.post(f"/v1/jobs/{job['id']}/retry").json()
    assert again["result"]["dataset"] != first["id"]
    second = client.get(f"/v1/datasets/{again['result']['dataset']}").json()
    assert second["state"] == "processing"


def test_a_gelda_job_on_raw_data_encodes_first(client: TestClient, store: Store) -> None:
    raw = raw_dataset(client, store)
    job = submitted(client, kind="gelda", dataset=raw, encoder=ENCODER)
    codes = [step["code"] for step in job["steps"]]
    assert codes[:4] == ["fetch", "encode", "gather", "prepare"]
    plain = submitted(client, kind="gelda", dataset=ready_dataset(client, store))
    assert [step["code"] for step in plain["steps"]] == codes[3:]
    shown = client.post("/v1/jobs/validate", json={"spec": job["spec"]}).json()
    assert [stage["code"] for stage in shown["plan"]["stages"]] == codes
    assert shown["plan"]["requested"] == {"cat": 0, "dog": 10}


def test_a_blocked_job_on_raw_data_begins_with_its_own_first_stage(
    client: TestClient, store: Store
) -> None:
    body = {"upload_ids": [upload(client, name="owls.zip")], "modality": "image"}
    made = client.post("/v1/datasets", json=body).json()
    clip = {"model": "openai/clip-vit-base-patch32"}
    job = submitted(client, kind="gelda", dataset=made["id"], encoder=clip)
    assert job["blocked_by"] == [made["job_id"]]
    work(store, Effects(dataset={"manifest": RAW | {"modality": "image"}, "stats": {}}))
    with store.write() as tx:
        claim = tx.tasks.claim({"cpu", "gpu"}, "tests", 60.0)
    assert claim is not None
    assert (claim.job_id, claim.stage) == (job["id"], "fetch")


@pytest.mark.parametrize(
    ("kind", "raw", "encoder"),
    [
        ("gelda", True, None),
        ("gelda", False, ENCODER),
        ("embed", False, ENCODER),
        ("classifier", True, None),
    ],
)
def test_what_does_not_go_together_is_refused(
    client: TestClient, store: Store, kind: str, raw: bool, encoder: dict[str, str] | None
) -> None:
    named = raw_dataset(client, store) if raw else ready_dataset(client, store)
    spec = {"kind": kind, "dataset": named} | ({"encoder": encoder} if encoder else {})
    answer = client.post("/v1/jobs", json={"spec": spec})
    assert_problem(answer, 422, "input_unsuitable")


@pytest.mark.parametrize("model", ["/etc/passwd", "https://x.y/z", "nobody/knows", ".."])
def test_an_encoder_off_the_list_is_refused(client: TestClient, store: Store, model: str) -> None:
    spec = {"kind": "embed", "dataset": raw_dataset(client, store), "encoder": {"model": model}}
    problem = assert_problem(client.post("/v1/jobs", json={"spec": spec}), 422, "model_not_allowed")
    assert problem["param"] == "spec.encoder.model"


def test_an_error_in_a_request_for_raw_data_names_the_field(client: TestClient) -> None:
    body = {
        "upload_ids": [upload(client, name="a.zip")],
        "modality": "image",
        "columns": {"z": "a"},
    }
    problem = assert_problem(client.post("/v1/datasets", json=body), 422, "unknown_field")
    assert problem["param"] == "columns.z"
