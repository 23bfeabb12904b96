"""Jobs: asked for once, polled cheaply, chained, canceled, repeated."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.store.database import Store
from tests.app.api.conftest import BOTH_DATABASES, dataset, fail_next, gelda, ready_dataset, submit
from tests.app.api.test_problems import assert_problem


@BOTH_DATABASES
def test_a_job_is_accepted_with_its_defaults_filled_in(client: TestClient, store: Store) -> None:
    body = gelda(ready_dataset(client, store), seed=7, metadata={"team": "owls"})
    response = client.post("/v1/jobs", json=body)
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert float(response.headers["retry-after"]) > 0
    assert (job["state"], job["seed"], job["metadata"]) == ("queued", 7, {"team": "owls"})
    assert job["spec"]["sampler"]["name"] == "heun"
    assert job["evaluate"]["seeds"] == 3
    assert client.get(f"/v1/jobs/{job['id']}").json()["spec"] == job["spec"]


@BOTH_DATABASES
def test_a_whole_pipeline_is_submitted_at_once(client: TestClient) -> None:
    made = dataset(client)
    first = submit(client, gelda(made["id"]))
    assert first["blocked_by"] == [made["job_id"]]
    sample = {"kind": "sample", "generator": first["id"], "plan": {"per_class": 5}}
    second = submit(client, {"spec": sample})
    assert second["blocked_by"] == [first["id"]]
    assert second["evaluate"] is None
    mixed = {"kind": "classifier", "dataset": made["id"], "mix": [first["id"], second["id"]]}
    third = submit(client, {"spec": mixed})
    assert set(third["blocked_by"]) == {made["job_id"], first["id"], second["id"]}


@BOTH_DATABASES
def test_the_same_key_and_body_make_one_job(client: TestClient, store: Store) -> None:
    body = gelda(ready_dataset(client, store))
    first = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "one"})
    again = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = client.post("/v1/jobs", json=body | {"seed": 1}, headers={"Idempotency-Key": "one"})
    assert_problem(other, 422, "idempotency_key_reused")
    assert submit(client, body)["id"] != first.json()["id"]


@BOTH_DATABASES
def test_repeats_at_the_same_time_make_one_job(client: TestClient, store: Store) -> None:
    body = gelda(ready_dataset(client, store))

    def post(_: int) -> str:
        response = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "many"})
        assert response.status_code in {202, 409}
        found: str = response.json().get("id", "")
        return found

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(post, range(16))) - {""}
    assert len(ids) == 1
    assert len(client.get("/v1/jobs?kind=gelda").json()["data"]) == 1


def test_a_refused_request_leaves_its_key_free(client: TestClient, store: Store) -> None:
    headers = {"Idempotency-Key": "free"}
    bad = client.post("/v1/jobs", json=gelda("ds_" + "0" * 32), headers=headers)
    assert_problem(bad, 422, "input_not_found")
    good = client.post("/v1/jobs", json=gelda(ready_dataset(client, store)), headers=headers)
    assert good.status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_an_unfit_idempotency_key_is_refused(client: TestClient, key: str) -> None:
    response = client.post(
        "/v1/jobs", json=gelda("ds_" + "0" * 32), headers={"Idempotency-Key": key}
    )
    assert assert_problem(response, 422)["param"] == "Idempotency-Key"


def test_polling_costs_nothing_while_nothing_changes(client: TestClient, store: Store) -> None:
    job = submit(client, gelda(ready_dataset(client, store)))
    path = f"/v1/jobs/{job['id']}"
    etag = client.get(path).headers["etag"]
    same = client.get(path, headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["retry-after"]
    client.post(f"{path}/cancel")
    changed = client.get(path, headers={"If-None-Match": f'W/{etag}, "x"'})
    assert changed.status_code == 200
    assert changed.json()["state"] == "canceled"
    assert "retry-after" not in changed.headers


@BOTH_DATABASES
def test_a_poll_sees_workers_come_and_go_though_the_job_itself_does_not_change(
    client: TestClient, store: Store
) -> None:
    path = f"/v1/jobs/{submit(client, gelda(ready_dataset(client, store)))['id']}"
    first = client.get(path)
    assert first.json()["unserved_class"] == "gpu"
    with store.write() as tx:
        tx.workers.seen("w", {"gpu"}, "host")
    served = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (served.status_code, served.json()["unserved_class"]) == (200, None)
    same = client.get(path, headers={"If-None-Match": served.headers["etag"]})
    assert same.status_code == 304
    with store.write() as tx:
        tx.workers.left("w")
    gone = client.get(path, headers={"If-None-Match": served.headers["etag"]})
    assert (gone.status_code, gone.json()["unserved_class"]) == (200, "gpu")
    assert gone.headers["etag"] == first.headers["etag"]


def test_waiting_ends_with_the_job_or_with_the_time(client: TestClient, store: Store) -> None:
    body = gelda(ready_dataset(client, store))
    began = time.monotonic()
    response = client.post("/v1/jobs", json=body, headers={"Prefer": "respond-async, wait=1"})
    assert 0.9 < time.monotonic() - began < 5
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "wait=1"
    headers = {"Prefer": "wait=30", "Idempotency-Key": "w"}
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.post, "/v1/jobs", json=body, headers=headers)
        wait_for(lambda: len(client.get("/v1/jobs?kind=gelda").json()["data"]) == 2)
        newest = client.get("/v1/jobs?kind=gelda").json()["data"][0]["id"]
        client.post(f"/v1/jobs/{newest}/cancel")
        answered = held.result(timeout=10)
    assert (answered.status_code, answered.json()["state"]) == (200, "canceled")


def wait_for(condition: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@BOTH_DATABASES
def test_cancel_is_answered_the_same_twice(client: TestClient, store: Store) -> None:
    job = submit(client, gelda(ready_dataset(client, store)))
    first = client.post(f"/v1/jobs/{job['id']}/cancel")
    again = client.post(f"/v1/jobs/{job['id']}/cancel")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["state"] == again.json()["state"] == "canceled"


def test_a_failed_job_shows_a_problem_and_can_be_repeated(client: TestClient, store: Store) -> None:
    job = submit(client, gelda(ready_dataset(client, store), seed=3))
    retry = f"/v1/jobs/{job['id']}/retry"
    assert_problem(client.post(retry), 409, "job_not_ended")
    fail_next(store)
    failed = client.get(f"/v1/jobs/{job['id']}").json()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "too_bad")
    again = client.post(retry)
    assert again.status_code == 202
    new = again.json()
    assert (new["retry_of"], new["seed"], new["spec"]) == (job["id"], 3, job["spec"])
    assert again.headers["location"] == f"/v1/jobs/{new['id']}"


def test_an_ingest_job_is_not_repeated(client: TestClient, store: Store) -> None:
    made = dataset(client)
    fail_next(store)
    assert_problem(client.post(f"/v1/jobs/{made['job_id']}/retry"), 409, "not_retryable")


def test_a_deadline_passes_without_any_worker(client: TestClient, store: Store) -> None:
    body = gelda(ready_dataset(client, store), deadline_seconds=0.1)
    path = f"/v1/jobs/{submit(client, body)['id']}"
    wait_for(lambda: client.get(path).json()["state"] == "expired")


def test_a_dry_run_shows_the_plan_and_makes_nothing(client: TestClient, store: Store) -> None:
    response = client.post("/v1/jobs/validate", json=gelda(ready_dataset(client, store)))
    assert response.status_code == 200
    shown = response.json()
    assert shown["plan"]["requested"] == {"cat": 30, "dog": 40}
    assert [stage["code"] for stage in shown["plan"]["stages"]] == [
        "prepare",
        "train",
        "choose",
        "sample",
        "rivals",
        "evaluate",
        "publish",
    ]
    assert shown["inputs"][0]["state"] == "ready"
    assert shown["blocked_by"] == []
    assert client.get("/v1/jobs?kind=gelda").json()["data"] == []


def test_a_dry_run_on_what_is_unfinished_knows_no_counts(client: TestClient) -> None:
    made = dataset(client)
    shown = client.post("/v1/jobs/validate", json=gelda(made["id"])).json()
    assert shown["plan"]["requested"] is None
    assert shown["blocked_by"] == [made["job_id"]]


@BOTH_DATABASES
def test_lists_filter(client: TestClient, store: Store) -> None:
    dataset_id = ready_dataset(client, store)
    red = submit(client, gelda(dataset_id, metadata={"colour": "red", "n": "1"}))
    blue = submit(client, gelda(dataset_id, metadata={"colour": "blue"}))
    client.post(f"/v1/jobs/{blue['id']}/cancel")

    def ids(query: str) -> list[str]:
        response = client.get(f"/v1/jobs?{query}")
        assert response.status_code == 200, response.text
        return [row["id"] for row in response.json()["data"]]

    assert ids("kind=gelda") == [blue["id"], red["id"]]
    assert ids("status=canceled") == [blue["id"]]
    assert ids("metadata.colour=red&metadata.n=1") == [red["id"]]
    assert ids("metadata.colour=red&metadata.n=2") == []
    assert ids("kind=gelda&limit=1") == [blue["id"]]
    assert ids(f"kind=gelda&after={blue['id']}") == [red["id"]]
    assert ids("created_after=2999-01-01T00:00:00Z") == []
    assert len(ids("created_after=2020-01-01T00:00:00Z")) == 3
    assert set(ids(f"ids={red['id']},{blue['id']},job_{'0' * 32}")) == {red["id"], blue["id"]}


@pytest.mark.parametrize(
    "query",
    ["ids=nonsense", "status=happy", "created_after=yesterday", "created_after=2020-01-01T00:00:00",
     "created_after=0.5", "created_after=1700000000",
     "metadata.=x", "metadata.a%00=x", "kind=glda", "ids=" + ",".join(f"job_{i:032x}" for i in range(101))],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_refused(client: TestClient, query: str) -> None:
    assert_problem(client.get(f"/v1/jobs?{query}"), 422)


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": -1},
        {"seed": 1 << 63},
        {"deadline_seconds": 0},
        {"deadline_seconds": 1e9},
        {"metadata": {"a b": "x"}},
        {"metadata": {"a": "x" * 513}},
        {"metadata": {str(i): "x" for i in range(33)}},
        {"evaluate": {"seeds": 0}},
    ],
    ids=str,
)
def test_a_field_out_of_bounds_is_refused(client: TestClient, fields: dict[str, Any]) -> None:
    assert_problem(client.post("/v1/jobs", json=gelda("ds_" + "0" * 32, **fields)), 422, "invalid")


def test_the_largest_seed_fits(client: TestClient, store: Store) -> None:
    job = submit(client, gelda(ready_dataset(client, store), seed=(1 << 63) - 1))
    assert client.get(f"/v1/jobs/{job['id']}").json()["seed"] == (1 << 63) - 1
