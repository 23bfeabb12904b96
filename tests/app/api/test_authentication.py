"""Who may do what: keys, scopes, tenants, hosts."""

import logging

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.domain.records import ALL_SCOPES
from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Effects, NewArtifact, NewModel
from app.store.blobs import LocalBlobs
from app.store.database import Store
from tests.app.api.conftest import MANIFEST, MakeKey, dataset, upload, with_key, work
from tests.app.api.test_problems import assert_problem


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer cv_unknown", "Bearer \xe4\xf6"]
)
def test_without_a_good_key_nothing_is_answered(anonymous: TestClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    response = anonymous.get("/v1/jobs", headers=headers)
    assert_problem(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_the_key_is_asked_for_before_the_body_is_read(anonymous: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    assert_problem(anonymous.post("/v1/jobs", content=b"{", headers=headers), 401, "missing_key")


def test_a_revoked_key_stops_at_once(client: TestClient, store: Store, tenant: str) -> None:
    assert client.get("/v1/jobs").status_code == 200
    with store.write() as tx:
        tx.keys.revoke(tenant, tx.keys.list(tenant)[0].id)
    assert_problem(client.get("/v1/jobs"), 401, "invalid_key")


def test_a_key_reaches_as_far_as_its_scopes(app: FastAPI, make_key: MakeKey) -> None:
    reader = with_key(TestClient(app), make_key(frozenset({"jobs:read"})))
    assert reader.get("/v1/jobs").status_code == 200
    assert reader.get("/v1/methods").status_code == 200
    body = assert_problem(reader.post("/v1/jobs", json={}), 403, "insufficient_scope")
    assert body["param"] == "jobs:write"
    assert_problem(reader.get("/v1/datasets"), 403, "insufficient_scope")


def test_every_route_under_v1_needs_a_key_and_all_but_methods_a_scope(
    app: FastAPI, anonymous: TestClient, make_key: MakeKey
) -> None:
    powerless = with_key(TestClient(app), make_key(frozenset()))
    paths = app.openapi()["paths"]
    checked = 0
    for path, operations in paths.items():
        if not path.startswith("/v1/"):
            continue
        url = path.replace("{number}", "1").replace("{", "").replace("}", "")
        for verb in operations:
            assert_problem(anonymous.request(verb, url), 401)
            if path != "/v1/methods":
                headers = {"Content-Type": "application/json"}
                assert_problem(powerless.request(verb, url, content=b"{}", headers=headers), 403)
            checked += 1
    assert checked > 25


@pytest.fixture
def owned(client: TestClient, store: Store, blobs: LocalBlobs, tenant: str) -> dict[str, str]:
    """One of everything that has an id, by the name that a path has for it."""
    made, upload_id = dataset(client), upload(client)
    blob = blobs.put_bytes(tenant, b"{}")
    file = NewArtifact("report.json", blob.sha256, blob.bytes, "application/json")
    model = NewModel({"config.json": {"sha256": blob.sha256, "bytes": blob.bytes}}, {})
    sheet = {"thumbnails": {"sha256": blob.sha256, "bytes": blob.bytes}}
    raw = {"manifest": MANIFEST | {"modality": "image", "columns": sheet}, "stats": {}}
    picture = Picture(blob.sha256, blob.bytes)
    item = ReviewItem("7", "cat", "a {} in snow", None, picture, picture, "image/png", "kept")
    work(
        store,
        Effects(dataset=raw, artifacts=(file,), generator=model, classifier=model, review=(item,)),
    )
    (artifact,) = client.get(f"/v1/jobs/{made['job_id']}/artifacts").json()["data"]
    ids = {
        noun: client.get(f"/v1/{noun}").json()["data"][0]["id"]
        for noun in ("generators", "classifiers", "keys")
    }
    return {
        "upload_id": upload_id,
        "dataset_id": made["id"],
        "job_id": made["job_id"],
        "number": "1",
        "artifact_id": artifact["id"],
        "generators": ids["generators"],
        "classifiers": ids["classifiers"],
        "key_id": ids["keys"],
        "name": "config.json",
        "item_id": item.item_id,
        "side": "before",
    }


BODIES = {"patch": {"name": "x"}, "/v1/jobs/{job_id}/reviews": {"reject": ["7"]}}
"""What is sent to routes that take a body, by verb or path."""


def filled(path: str, ids: dict[str, str]) -> str:
    return path.format(**ids, model_id=ids.get(path.split("/")[2]))


def test_another_tenants_id_answers_as_an_unknown_one(
    client: TestClient, stranger: TestClient, owned: dict[str, str]
) -> None:
    unknown = {
        name: value[: value.index("_") + 1] + "f" * 32 if "_" in value else value
        for name, value in owned.items()
    }
    checked = 0
    for path, operations in stranger.app.openapi()["paths"].items():
        if "{" not in path:
            continue
        if "get" in operations:  # so that a stranger's 404 says something
            assert client.get(filled(path, owned)).status_code == 200, path
        for verb in operations:
            answers = []
            for ids in (owned, unknown):
                body = BODIES.get(verb) or (BODIES.get(path) if verb == "post" else None)
                answer = stranger.request(verb, filled(path, ids), json=body)
                problem = assert_problem(answer, 404)
                assert not any(value in answer.text for value in ids.values() if "_" in value)
                answers.append({**problem, "request_id": None})
            assert answers[0] == answers[1], path
            checked += 1
    assert checked > 15


def test_a_spec_cannot_name_what_is_another_tenants(
    stranger: TestClient, owned: dict[str, str]
) -> None:
    own = dataset(stranger)["id"]
    vectors = {"source": "upload", "upload": owned["upload_id"]}
    plan = {"per_class": 1}
    for param, spec in (
        ("spec.dataset", {"kind": "gelda", "dataset": owned["dataset_id"]}),
        ("spec.classes.upload", {"kind": "gelda", "dataset": own, "classes": vectors}),
        ("spec.generator", {"kind": "sample", "generator": owned["generators"], "plan": plan}),
        ("spec.generator", {"kind": "sample", "generator": owned["job_id"], "plan": plan}),
        ("spec.dataset", {"kind": "classifier", "dataset": owned["dataset_id"]}),
        ("spec.mix", {"kind": "classifier", "dataset": own, "mix": [owned["job_id"]]}),
    ):
        answer = stranger.post("/v1/jobs", json={"spec": spec})
        assert assert_problem(answer, 422, "input_not_found")["param"] == param
    answer = stranger.post("/v1/datasets", json={"upload_ids": [owned["upload_id"]]})
    assert_problem(answer, 422, "input_not_found")


def test_lists_show_a_tenants_own(client: TestClient, stranger: TestClient) -> None:
    dataset(client)
    for path in ("/v1/jobs", "/v1/datasets", "/v1/generators", "/v1/classifiers"):
        assert stranger.get(path).json() == {"data": [], "has_more": False, "next_after": None}
    assert len(stranger.get("/v1/keys").json()["data"]) == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8321", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8321", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("", 400),
    ],
)
def test_only_hosts_of_ours_are_answered(anonymous: TestClient, host: str, status: int) -> None:
    response = anonymous.get("/healthz", headers={"Host": host})
    assert response.status_code == status
    if status != 200:
        assert_problem(response, 400, "invalid_host")


def test_a_key_is_in_no_log(
    anonymous: TestClient, make_key: MakeKey, caplog: pytest.LogCaptureFixture
) -> None:
    secret = make_key(ALL_SCOPES)
    with caplog.at_level(logging.DEBUG):
        with_key(anonymous, secret).get("/v1/jobs")
        with_key(anonymous, secret + "x").get("/v1/jobs")
    assert caplog.records
    assert secret not in caplog.text
