"""The document says what the routes do, and the page of it needs nothing from elsewhere."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate
from starlette.testclient import TestClient

HIDDEN = ("webhook", "limits", "usage", "estimate")


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    found: dict[str, Any] = app.openapi()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, verb, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_the_document_is_served_without_a_key(anonymous: TestClient) -> None:
    assert anonymous.get("/openapi.json").json()["info"]["title"] == "Cultivar"


def test_every_problem_has_the_shape_that_is_answered(document: dict[str, Any]) -> None:
    for path, verb, operation in operations(document):
        assert "default" in operation["responses"], (path, verb)
        for status, response in operation["responses"].items():
            if status == "default" or status.startswith(("4", "5")):
                assert list(response["content"]) == ["application/problem+json"], (path, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]
    fields = document["components"]["schemas"]["Problem"]["properties"]
    assert set(fields) == {
        "type", "title", "status", "detail", "code", "param", "request_id", "retryable",
    }  # fmt: skip


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)
    assert {"create_job", "list_jobs", "get_job", "cancel_job", "begin_upload"} <= set(names)


def test_routes_of_v1_name_their_scope(document: dict[str, Any]) -> None:
    for path, verb, operation in operations(document):
        if not path.startswith("/v1/"):
            assert "security" not in operation
            continue
        (requirement,) = operation["security"]
        write = verb != "get" and path != "/v1/jobs/validate"
        if path != "/v1/methods":
            (scope,) = requirement["key"]
            assert scope.endswith(":write" if write else ":read"), path


def test_every_answer_has_a_schema(document: dict[str, Any]) -> None:
    for path, verb, operation in operations(document):
        for status, response in operation["responses"].items():
            if status.startswith("2") and status != "204":
                for media in response["content"].values():
                    assert media["schema"], (path, verb, status)


def test_what_is_not_built_is_not_in_the_document(document: dict[str, Any]) -> None:
    for word in HIDDEN:
        assert not any(word in path for path in document["paths"])
    request = document["components"]["schemas"]["JobRequest"]["properties"]
    assert set(request) == {
        *("spec", "seed", "evaluate", "release_if", "deadline_seconds", "metadata")
    }


def test_posts_that_make_something_take_an_idempotency_key(document: dict[str, Any]) -> None:
    taking = {
        operation["operationId"]
        for _, _, operation in operations(document)
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    }
    made = {"begin_upload", "create_dataset", "create_job", "retry_job", "create_key"}
    # A second `resume_job` of the same key must not resume a job that has come to its next pause.
    # A deletion whose answer was lost is told what it did, not that there is no such thing.
    assert taking == {*made, "resume_job", "delete_job", "delete_dataset"}


def test_the_reference_opens_without_the_internet(
    anonymous: TestClient, document: dict[str, Any]
) -> None:
    response = anonymous.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    page = response.text
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    for path, _, operation in operations(document):
        assert path in page
        assert f'id="{operation["operationId"]}"' in page
    anchors = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= anchors


def test_methods_show_the_schema_of_each_spec(client: TestClient, document: dict[str, Any]) -> None:
    methods = client.get("/v1/methods").json()["data"]
    kinds = [method["kind"] for method in methods]
    assert kinds == ["gelda", "glico", "alia", "embed", "sample", "classifier"]
    for method in methods:
        assert method["spec_schema"]["properties"]["kind"]["const"] == method["kind"]
        assert all(model["licence"] for model in method["models"])
