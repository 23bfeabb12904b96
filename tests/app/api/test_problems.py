"""Whatever goes wrong, the answer has one shape and tells nothing it should not."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

FIELDS = {"type", "title", "status", "detail", "code", "param", "request_id", "retryable"}
DS = "ds_" + "0" * 32


def assert_problem(response: Any, status: int, code: str | None = None) -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert set(body) == FIELDS
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    if code is not None:
        assert body["code"] == code
    return body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("GET", "/v1/webhooks"),
        ("GET", "/v1/limits"),
        ("GET", "/v1/usage"),
        ("POST", "/v1/jobs/x/verdicts"),
        ("GET", "/v1/jobs/"),
        ("GET", "/v1/jobs/%00"),
        ("GET", "/redoc"),
    ],
)
def test_an_unknown_route_is_a_problem(client: TestClient, method: str, path: str) -> None:
    assert_problem(client.request(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, POST"),
        ("OPTIONS", "/v1/uploads/x", "DELETE, GET"),
        ("BREW", "/v1/artifacts/x/content", "GET, HEAD"),
        ("DELETE", "/healthz", "GET"),
        ("PUT", "/v1/jobs/validate", "POST"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
def test_an_unknown_method_is_a_problem_that_names_all_known_ones(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert sorted(response.headers["allow"].split(", ")) == allowed.split(", ")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b"[" * 20_000 + b"]" * 20_000, 400, "invalid_json"),
        (b'{"name": NaN}', 400, "invalid_json"),
        (b'{"name": Infinity}', 400, "invalid_json"),
        (b'{"name": "\\ud800"}', 400, "invalid_json"),
        (b'{"name": "a\\u0000b"}', 422, "invalid_text"),
        (b'{"name": ' + b"9" * 10_000 + b"}", 400, "invalid_json"),
        (b'{"name": ' + b"9" * 1_000 + b"}", 422, "invalid"),
        (b'"just text"', 422, "invalid"),
        (b"", 422, "invalid"),
        (b'{"name": "x", "owner": "me"}', 422, "unknown_field"),
        (b'{"name": "' + b"x" * 60_000 + b'"}', 413, "body_too_large"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_a_bad_body_is_a_problem(client: TestClient, body: bytes, status: int, code: str) -> None:
    response = client.patch(
        f"/v1/datasets/{DS}", content=body, headers={"Content-Type": "application/json"}
    )
    assert_problem(response, status, code)


def test_a_body_of_unknown_length_is_cut_at_the_limit(client: TestClient) -> None:
    sent = 0

    def endless() -> object:
        nonlocal sent
        while sent < 10_000_000:
            sent += 10_000
            yield b" " * 10_000

    headers = {"Content-Type": "application/json"}
    assert_problem(client.patch(f"/v1/datasets/{DS}", content=endless(), headers=headers), 413)


def test_another_media_type_is_refused(client: TestClient) -> None:
    response = client.post("/v1/jobs", content=b"{}", headers={"Content-Type": "text/plain"})
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("spec", "param"),
    [
        ({"kind": "gelda", "dataset": DS, "plan": {"raise_to": 0}}, "spec.plan.raise_to"),
        ({"kind": "gelda", "dataset": DS, "plan": {}}, "spec.plan"),
        (
            {"kind": "gelda", "dataset": DS, "plan": {"per_class": {"a": -1}}},
            "spec.plan.per_class.a",
        ),
        ({"kind": "gelda", "dataset": "ds_1"}, "spec.dataset"),
        (
            {"kind": "gelda", "dataset": DS, "classes": {"source": "names", "x": 1}},
            "spec.classes.x",
        ),
        (
            {"kind": "gelda", "dataset": DS, "classes": {"source": "upload", "upload": "x"}},
            "spec.classes.upload",
        ),
        (
            {
                "kind": "gelda",
                "dataset": DS,
                "subdomains": {"source": "descriptions", "descriptions": {"sea": ""}},
            },
            "spec.subdomains.descriptions.sea",
        ),
        ({"kind": "ingest", "dataset": DS}, "spec"),
        ({"kind": "magic"}, "spec"),
    ],
)
def test_a_wrong_field_is_named_as_the_caller_wrote_it(
    client: TestClient, spec: dict[str, object], param: str
) -> None:
    body = assert_problem(client.post("/v1/jobs", json={"spec": spec}), 422)
    assert body["param"] == param


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (None, "The body is empty; a JSON object is expected."),
        ({}, "This field is required."),
        ([], "A JSON object is expected."),
        ({"spec": {}}, "The field 'kind' is required: it says which this is."),
        (
            {"spec": {"kind": "glda"}},
            "There is no 'kind' 'glda'; expected is one of 'gelda', 'glico', 'alia', 'sample', 'classifier', 'embed'.",
        ),
        (
            {"spec": {"kind": "gelda", "dataset": "birds"}},
            'An id is expected, ds_ and 32 hexadecimal digits; found "birds".',
        ),
        (
            {"spec": {"kind": "sample", "generator": 7, "plan": {"per_class": 1}}},
            "Input should be a valid string; found 7.",
        ),
        (
            {"spec": {"kind": "gelda", "dataset": DS, "plan": {"raise_to": 0}}},
            "Input should be greater than or equal to 1; found 0.",
        ),
        (
            {"spec": {"kind": "gelda", "dataset": DS}, "evaluate": "off"},
            "A JSON object is expected.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_callers_words(
    client: TestClient, body: object, detail: str
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    response = client.post(
        "/v1/jobs", content=content, headers={"Content-Type": "application/json"}
    )
    assert assert_problem(response, 422)["detail"] == detail


@pytest.mark.parametrize("field", ["webhook", "state", "tenant_id"])
def test_fields_of_the_service_are_unknown_to_a_caller(client: TestClient, field: str) -> None:
    spec = {"kind": "gelda", "dataset": DS}
    body = assert_problem(
        client.post("/v1/jobs", json={"spec": spec, field: 1}), 422, "unknown_field"
    )
    assert body["param"] == field


def test_a_bug_tells_nothing_of_its_inside(app: FastAPI) -> None:
    @app.get("/bug")
    def bug() -> None:
        raise RuntimeError("the password is swordfish")

    response = TestClient(app).get("/bug", headers={"X-Request-ID": "mine-1"})
    body = assert_problem(response, 500, "internal_error")
    assert "swordfish" not in json.dumps(body)
    assert body["request_id"] == "mine-1"


def test_a_request_id_is_kept_or_made(client: TestClient) -> None:
    assert (
        client.get("/healthz", headers={"X-Request-ID": "a.b-c"}).headers["x-request-id"] == "a.b-c"
    )
    made = client.get("/healthz", headers={"X-Request-ID": "no spaces"}).headers["x-request-id"]
    assert made.startswith("req_")
