"""The OpenAPI document: what the routes declare, and the problems and keys they share."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app.api.context import Scoped
from app.api.problems import MEDIA_TYPE
from app.api.schemas.problem import ProblemView

Responses = dict[int | str, dict[str, Any]]

BINARY_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_OF_A_BODY = (400, 413, 415)
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REASONS = {
    401: "No key, or one that is unknown, revoked or expired.",
    403: "The key lacks the scope.",
    404: "There is no such thing, or it is another tenant's.",
    409: "The state of things does not permit it.",
    507: "The disk is full; retryable.",
}
DESCRIPTION = """\
Grows small datasets: embeddings in; synthetic latents, a reusable generator, a classifier and a report out.

Every answer that is not a success is a `Problem` (RFC 9457, `application/problem+json`).
Every `POST` that makes something takes an `Idempotency-Key`: the same key and body give the same answer for 24 hours.
Lists are newest first; `after` takes the `next_after` of the page before."""


def problems(*statuses: int) -> Responses:
    """Return the `responses` of a route that can end in these, besides those every route has."""
    return {status: _problem(status) for status in sorted({*statuses})}


def content(media_types: dict[str, dict[str, Any]], description: str) -> dict[str, Any]:
    """Return a response of other media types than JSON, each with its schema."""
    media = {name: {"schema": schema} for name, schema in media_types.items()}
    return {"description": description, "content": media}


def headers(**described: str) -> dict[str, Any]:
    """Return a response's `headers`; an underscore in a name stands for a hyphen."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in described.items()
    }


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Make ``app.openapi()`` return the document of these routers, which the app has included."""
    scopes = {route.name: scope for route, scope in _scopes(routers)}

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, scopes)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, scopes: Mapping[str, str | None]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
    )
    components = document.setdefault("components", {})
    schema = ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
    components.setdefault("schemas", {})["Problem"] = schema
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key, cv_…"}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1/"):
                _secure(operation, scopes.get(operation["operationId"]))
            operation["responses"]["default"] = {
                "description": "Any other problem.",
                "content": _PROBLEM,
            }
            # FastAPI adds its own shape of 422, which this service never sends.
            operation["responses"].pop("422", None)
            if "parameters" in operation or "requestBody" in operation:
                operation["responses"]["422"] = _problem(422)
            if "requestBody" in operation:
                operation["responses"] |= {str(one): _problem(one) for one in _OF_A_BODY}
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    return document


def _secure(operation: dict[str, Any], scope: str | None) -> None:
    operation["security"] = [{"key": [scope] if scope else []}]
    operation["responses"]["401"] = _problem(401)
    if scope is not None:
        operation["responses"]["403"] = _problem(403)
        text = operation.get("description", "")
        operation["description"] = f"{text}\n\nScope: `{scope}`.".strip()


def _problem(status: int) -> dict[str, Any]:
    reason = _REASONS.get(status, HTTPStatus(status).phrase + ".")
    return {"description": reason, "content": _PROBLEM}


def _scopes(routers: Sequence[APIRouter]) -> Iterator[tuple[APIRoute, str | None]]:
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute):
            for dependency in route.dependant.dependencies:
                if isinstance(dependency.call, Scoped):
                    yield route, dependency.call.scope
