"""Who may do what: keys, scopes, tenants, hosts."""

import logging

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.domain.records import ALL_SCOPES
from app.store.database import Store
from tests.app.api.conftest import MakeKey, with_key
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
