"""A tenant's keys: shown once, never stronger than their maker, revoked at once."""

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.app.api.conftest import BOTH_DATABASES, MakeKey, with_key
from tests.app.api.test_problems import assert_problem


def make(client: TestClient, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {"name": "ci", "scopes": ["jobs:read"]} | fields
    return client.post("/v1/keys", json=body, headers=headers)


@BOTH_DATABASES
def test_a_key_works_until_it_is_revoked(app: FastAPI, client: TestClient) -> None:
    made = make(client)
    assert made.status_code == 201
    key = made.json()
    assert key["secret"].startswith("cv_")
    other = with_key(TestClient(app), key["secret"])
    assert other.get("/v1/jobs").status_code == 200
    assert client.delete(f"/v1/keys/{key['id']}").status_code == 204
    assert_problem(other.get("/v1/jobs"), 401)
    (row,) = [row for row in client.get("/v1/keys").json()["data"] if row["id"] == key["id"]]
    assert row["revoked_at"] is not None
    assert "secret" not in row


def test_a_secret_is_not_shown_twice(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first, again = make(client, headers), make(client, headers)
    assert again.json() == first.json() | {"secret": None}


def test_a_key_cannot_give_what_it_lacks(app: FastAPI, make_key: MakeKey) -> None:
    limited = with_key(TestClient(app), make_key(frozenset({"keys:write", "jobs:read"})))
    assert make(limited).status_code == 201
    assert_problem(make(limited, scopes=["jobs:write"]), 403, "insufficient_scope")


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"name": ""},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00"},
        {"expires_at": 32_472_144_000},
        {"tenant_id": "x"},
    ],
    ids=str,
)
def test_a_key_that_cannot_be_is_refused(client: TestClient, fields: dict[str, Any]) -> None:
    assert_problem(make(client, **fields), 422)


def test_an_unknown_key_cannot_be_revoked(client: TestClient) -> None:
    assert_problem(client.delete("/v1/keys/key_" + "0" * 32), 404)
