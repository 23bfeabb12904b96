"""Jobs: asked for once, polled cheaply, chained, canceled, repeated."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.problems import JobFailure
from app.domain.tasks import Effects, NewArtifact, NewModel
from app.main import create_app
from app.queue import Bell
from app.settings import Settings
from app.store.blobs import LocalBlobs
from app.store.database import Store
from tests.app.api.conftest import BOTH_DATABASES, dataset, ready_dataset, upload, work
from tests.app.api.test_problems import assert_problem


def gelda(dataset_id: str, **fields: Any) -> dict[str, Any]:
    return {"spec": {"kind": "gelda", "dataset": dataset_id, "plan": {"raise_to": 50}}, **fields}


def submit(client: TestClient, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    response = client.post("/v1/jobs", json=body, headers=headers)
    assert response.status_code == 202, response.text
    made: dict[str, Any] = response.json()
    return made


def fail_next(store: Store) -> None:
    with store.write() as tx:
        claim = tx.tasks.claim({"cpu", "gpu"}, "tests", 60.0)
        assert claim is not None
        tx.tasks.fail(claim.lease, JobFailure("No.", code="too_bad"))


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
