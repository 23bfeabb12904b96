"""Datasets are made of complete uploads, and can be named before they are ready."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.problems import JobFailure
from app.store.database import Store
from tests.app.api.conftest import BOTH_DATABASES, dataset, ready_dataset, upload
from tests.app.api.test_problems import assert_problem


@BOTH_DATABASES
def test_a_dataset_is_made_by_an_ingest_job(client: TestClient, store: Store) -> None:
    response = client.post("/v1/datasets", json={"upload_ids": [upload(client)]})
    assert response.status_code == 202
    made = response.json()
    assert response.headers["location"] == f"/v1/datasets/{made['id']}"
    assert response.headers["retry-after"]
    assert (made["state"], made["format"], made["name"]) == ("processing", "npz", "birds.npz")
    job = client.get(f"/v1/jobs/{made['job_id']}").json()
    assert (job["kind"], job["spec"]["dataset"]) == ("ingest", made["id"])


def test_a_ready_dataset_shows_its_manifest_and_statistics(
    client: TestClient, store: Store
) -> None:
    dataset_id = ready_dataset(client, store)
    assert client.get(f"/v1/datasets/{dataset_id}").json()["manifest"]["rows"] == 30
    stats = client.get(f"/v1/datasets/{dataset_id}/stats").json()
    assert stats == {"id": dataset_id, "state": "ready", "stats": {"rejected": []}}


def test_a_failed_dataset_says_why(client: TestClient, store: Store) -> None:
    made = dataset(client)
    with store.write() as tx:
        claim = tx.tasks.claim({"cpu"}, "tests", 60.0)
        assert claim is not None
        tx.tasks.fail(
            claim.lease, JobFailure("Row 118 is NaN.", code="non_finite_values", param="x")
        )
    error = client.get(f"/v1/datasets/{made['id']}").json()["error"]
    assert (error["code"], error["param"]) == ("non_finite_values", "x")
    spec = {"kind": "gelda", "dataset": made["id"]}
    told = assert_problem(client.post("/v1/jobs", json={"spec": spec}), 422, "input_failed")
    assert told["detail"] == "The dataset is failed: Row 118 is NaN."


def test_a_dataset_can_be_renamed_and_no_more(client: TestClient) -> None:
    path = f"/v1/datasets/{dataset(client)['id']}"
    assert client.patch(path, json={"name": "owls"}).json()["name"] == "owls"
    assert client.get(path).json()["name"] == "owls"
    assert_problem(client.patch(path, json={"name": "x", "state": "ready"}), 422, "unknown_field")


def test_datasets_are_listed_newest_first_page_by_page(client: TestClient) -> None:
    upload_id = upload(client)
    made = [
        client.post("/v1/datasets", json={"upload_ids": [upload_id]}).json()["id"] for _ in range(5)
    ]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = client.get("/v1/datasets", params={"limit": 2, **after}).json()
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["next_after"]}
    assert page["next_after"] is None
    assert seen == sorted(made, reverse=True)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "after=job'--", "after=%00"])
def test_a_bad_page_is_refused(client: TestClient, query: str) -> None:
    assert_problem(client.get(f"/v1/datasets?{query}"), 422)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"upload_ids": []}, 422, "invalid"),
        ({"upload_ids": ["up_" + "0" * 32]}, 422, "input_not_found"),
        ({"upload_ids": ["nonsense"]}, 422, "invalid"),
        ({"format": "pickle"}, 422, "invalid"),
        ({"modality": "video"}, 422, "invalid"),
        ({"modality": "image"}, 422, "invalid"),  # the suffix is npz
        ({"modality": "image", "format": "jsonl"}, 422, "invalid"),
        ({"modality": "text", "format": "jsonl", "columns": {"x": "a"}}, 422, "unknown_field"),
        ({"columns": {"label": "a"}}, 422, "unknown_field"),
        ({"columns": {"z": "a"}}, 422, "unknown_field"),
        ({"name": ""}, 422, "invalid"),
    ],
)
def test_a_dataset_that_cannot_be_is_refused(
    client: TestClient, fields: dict[str, Any], status: int, code: str
) -> None:
    body = {"upload_ids": [upload(client)]} | fields
    assert_problem(client.post("/v1/datasets", json=body), status, code)


def test_an_upload_on_its_way_is_no_dataset_yet(client: TestClient) -> None:
    begun = client.post("/v1/uploads", json={"filename": "a.npz", "bytes": 5}).json()["id"]
    response = client.post("/v1/datasets", json={"upload_ids": [begun]})
    assert_problem(response, 422, "upload_incomplete")


def test_a_suffix_that_tells_nothing_needs_a_format(client: TestClient) -> None:
    ids = [upload(client, name="birds.dat")]
    body = assert_problem(client.post("/v1/datasets", json={"upload_ids": ids}), 422)
    assert body["param"] == "format"
    told = client.post("/v1/datasets", json={"upload_ids": ids, "format": "parquet"})
    assert told.json()["format"] == "parquet"


def test_a_long_file_name_is_cut_to_a_name(client: TestClient) -> None:
    ids = [upload(client, name="b" * 250 + ".npz")]
    assert len(client.post("/v1/datasets", json={"upload_ids": ids}).json()["name"]) == 200
