"""Conditions of release: kept, shown, refused where they make no sense, and a job withheld by them."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.tasks import Effects, NewArtifact
from app.store.blobs import LocalBlobs
from app.store.database import Store
from tests.app.api.conftest import BOTH_DATABASES, gelda, ready_dataset, submit, work
from tests.app.api.test_problems import assert_problem

GATE = {"min_gain_low": 0.5, "max_copy_share": 0}


@BOTH_DATABASES
def test_conditions_of_release_are_kept_and_shown(client: TestClient, store: Store) -> None:
    body = gelda(ready_dataset(client, store), release_if=GATE)
    assert client.post("/v1/jobs/validate", json=body).json()["release_if"] == GATE
    job = submit(client, body)
    assert job["release_if"] == GATE
    assert client.get(f"/v1/jobs/{job['id']}").json()["release_if"] == GATE
    with store.write() as tx:
        claim = tx.tasks.claim({"gpu"}, "tests", 60.0)
    assert claim is not None
    assert claim.release_if == GATE


def test_a_repeated_job_keeps_its_conditions(client: TestClient, store: Store) -> None:
    job = submit(client, gelda(ready_dataset(client, store), release_if=GATE))
    client.post(f"/v1/jobs/{job['id']}/cancel")
    again = client.post(f"/v1/jobs/{job['id']}/retry").json()
    assert (again["retry_of"], again["release_if"]) == (job["id"], GATE)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/validate"])
def test_release_is_refused_where_nothing_is_measured(
    client: TestClient, store: Store, path: str
) -> None:
    dataset_id = ready_dataset(client, store)
    body = gelda(dataset_id, release_if=GATE, evaluate={"enabled": False})
    found = assert_problem(client.post(path, json=body), 422, "release_not_measurable")
    assert found["param"] == "release_if"
    assert "switched off" in found["detail"]
    other = {"spec": {"kind": "classifier", "dataset": dataset_id}, "release_if": GATE}
    found = assert_problem(client.post(path, json=other), 422, "release_not_measurable")
    assert "kind classifier" in found["detail"]


@pytest.mark.parametrize(
    ("gate", "code", "param"),
    [
        ({}, "invalid", "release_if"),
        ({"min_luck": 1}, "unknown_field", "release_if.min_luck"),
        ({"max_copy_share": 2}, "invalid", "release_if.max_copy_share"),
        ({"max_c2st": "low"}, "invalid", "release_if.max_c2st"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(
    client: TestClient, store: Store, gate: dict[str, Any], code: str, param: str
) -> None:
    response = client.post("/v1/jobs", json=gelda(ready_dataset(client, store), release_if=gate))
    assert assert_problem(response, 422, code)["param"] == param


@BOTH_DATABASES
def test_of_what_is_withheld_only_the_report_can_be_had(
    client: TestClient, store: Store, blobs: LocalBlobs, tenant: str
) -> None:
    dataset_id = ready_dataset(client, store)
    job = submit(client, gelda(dataset_id, release_if=GATE))
    sample = {"kind": "sample", "generator": job["id"], "plan": {"per_class": 5}}
    waiting = submit(client, {"spec": sample})
    report = blobs.put_bytes(tenant, b'{"verdict": 1}')
    file = NewArtifact("report.json", report.sha256, report.bytes, "application/json")
    why = "Withheld: min_gain_low is 0.1, at least 0.5 is required."
    ended = work(
        store,
        *(Effects(), Effects()),  # prepare, choose; neither plans a task
        Effects(artifacts=(file,), summary={"release": {"granted": False}}, withheld=why),
    )
    assert ended == job["id"]
    found = client.get(f"/v1/jobs/{ended}").json()
    assert found["state"] == "failed"
    assert (found["error"]["code"], found["error"]["param"]) == ("not_released", "release_if")
    assert found["error"]["detail"] == why
    assert not found["error"]["retryable"]
    assert found["result"] == {"generator": None, "classifier": None, "dataset": None} | {
        "release": {"granted": False}
    }
    assert client.get(f"/v1/jobs/{ended}/report").json() == {"verdict": 1}
    names = [one["name"] for one in client.get(f"/v1/jobs/{ended}/artifacts").json()["data"]]
    assert names == ["report.json"]
    for noun in ("generators", "classifiers"):
        assert client.get(f"/v1/{noun}").json()["data"] == []
    # Nor can more be drawn: what waited for it has failed, and what comes later is refused.
    late = client.get(f"/v1/jobs/{waiting['id']}").json()
    assert (late["state"], late["error"]["code"]) == ("failed", "input_failed")
    assert "not_released" in late["error"]["detail"]
    assert_problem(client.post("/v1/jobs", json={"spec": sample}), 422, "input_failed")
    mixed = {"kind": "classifier", "dataset": dataset_id, "mix": [ended]}
    assert_problem(client.post("/v1/jobs", json={"spec": mixed}), 422, "input_failed")
    with store.write() as tx:
        assert tx.tasks.claim({"cpu", "gpu"}, "tests", 60.0) is None
