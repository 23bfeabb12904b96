"""One handler for the whole tree of problems, and for what the framework raises by itself."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app.domain.problems import (
    BadRequest,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    UnsupportedMedia,
)
from models.spec import CONTRADICTION

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = "2"
_LONGEST_DETAIL = 500
_LONGEST_FOUND = 60
_ID_PATTERN = re.compile(r"\^\(?([a-z|]+)\)?_\[0-9a-f\]\{32\}\$")
# Pydantic's locations name the chosen member of a union; the caller's JSON has no such level.
_TAGS = {
    "body": ("embedding", "raw"),
    "spec": ("alia", "gelda", "glico", "sample", "classifier", "embed"),
    "output": ("npz", "parquet", "safetensors", "imagefolder"),
    "classes": ("learned", "one_hot", "names", "descriptions", "upload"),
    "subdomains": ("learned", "one_hot", "names", "descriptions", "upload", "means"),
}
_UNION_MEMBER = re.compile(r"(dict|tuple|list|constrained-\w+|function-\w+)(\[|$)")


class ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE


def answer(problem: Problem, request_id: str | None) -> ProblemResponse:
    """Return the answer that a problem is."""
    headers = dict(problem.headers)
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", _RETRY_AFTER)
    return ProblemResponse(problem.body(request_id), problem.status, headers)


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Give the application its exception handlers; `app.api.edge` answers what none of them takes.

    ``routers`` are all that the application includes: a 405 names the methods that they take.
    """

    def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(error, request.state.request_id)

    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        problem = _from_http(error)
        if isinstance(problem, MethodNotAllowed) and (allowed := _methods(routers, request)):
            problem.headers["Allow"] = allowed
        return answer(problem, request.state.request_id)

    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(_from_validation(error.errors()), request.state.request_id)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)


def _methods(routers: Sequence[APIRouter], request: Request) -> str:
    """Return every method that a path takes; the framework's `Allow` names its first route's alone."""
    routes = [
        route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.path_regex.match(request.scope["path"])
    ]
    # A fixed path, such as /jobs/validate, comes before one with an id, and is not an id itself.
    same = (route.methods or set() for route in routes if route.path == routes[0].path)
    return ", ".join(sorted(set().union(*same)))


def _from_http(error: HTTPException) -> Problem:
    """Return the problem that stands for an error of the framework's own."""
    headers = dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return NotFound("route")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed("This route does not take this method.", headers=headers)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge("The body is too large.")
        case HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return UnsupportedMedia("This media type is not taken here.")
        case _:
            return BadRequest("The request cannot be read.", headers=headers)


def _from_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return one error, in its place; other fields at fault are counted."""
    if not errors:
        return Invalid("The request is not valid.")
    chosen = _telling(errors)
    param = _param(chosen["loc"])
    others = {_param(error["loc"]) for error in errors}
    others = {other for other in others if not (param or "").startswith(other or "")}
    more = f" ({len(others)} more at fault)" if others else ""
    if chosen["type"] == "extra_forbidden":
        return Invalid(f"There is no such field here{more}.", code="unknown_field", param=param)
    if chosen["type"].startswith(CONTRADICTION):
        code = chosen["type"].removeprefix(CONTRADICTION)
        return Invalid(f"{chosen['msg']}.", code=code, param=param)
    return Invalid(f"{_sentence(chosen)[:_LONGEST_DETAIL]}{more}.", param=param)


def _sentence(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, in the caller's words and not in the validator's."""
    facts = error.get("ctx", {})
    match error["type"]:
        case "missing" if len(error["loc"]) == 1:
            return "The body is empty; a JSON object is expected"
        case "missing":
            return "This field is required"
        case "union_tag_not_found":
            return f"The field {facts['discriminator']} is required: it says which this is"
        case "union_tag_invalid":
            kinds = facts["expected_tags"]
            return (
                f"There is no {facts['discriminator']} {facts['tag']!r}; expected is one of {kinds}"
            )
        case "model_attributes_type" | "model_type" | "dict_type":
            return "A JSON object is expected"
        case "too_short":
            return f"At least {facts['min_length']} are expected; found {facts['actual_length']}"
        case "string_pattern_mismatch" if prefixes := _ids(facts["pattern"]):
            return f"An id is expected, {prefixes} and 32 hexadecimal digits; found {_found(error)}"
        case _:
            found = _found(error)
            message = str(error["msg"]).removeprefix("Value error, ")
            return f"{message}; found {found}" if found else message


def _ids(pattern: str) -> str | None:
    """Return e.g. ``gen_ or job_`` for the pattern of an id; None for any other."""
    read = _ID_PATTERN.fullmatch(pattern)
    return " or ".join(f"{prefix}_" for prefix in read[1].split("|")) if read else None


def _found(error: Mapping[str, Any]) -> str:
    """Return a short value as JSON would have it; nothing of an object, a list or a long text."""
    value = error.get("input")
    if not isinstance(value, str | int | float) or len(str(value)) > _LONGEST_FOUND:
        return "something else" if error["type"] == "string_pattern_mismatch" else ""
    return json.dumps(value, ensure_ascii=False)


def _telling(errors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the error that explains most.

    An unknown field often explains the others. Of a union each member complains, and the one that
    the caller meant does so deepest inside.
    """
    for error in errors:
        if error["type"] == "extra_forbidden":
            return error
    start = _param(errors[0]["loc"]) or ""
    within = [error for error in errors if (_param(error["loc"]) or "").startswith(start)]
    return max(within, key=lambda error: len(_param(error["loc"]) or ""))


def _param(location: Sequence[str | int]) -> str | None:
    """Return e.g. ``spec.plan.raise_to``: without the part `body` and without unions' members."""
    names: list[str] = []
    for before, part in pairwise(location):
        # Only what follows the union at once: a member may have a field of its own name.
        is_tag = part in _TAGS.get(str(before), ())
        if not is_tag and not _UNION_MEMBER.match(str(part)):
            names.append(str(part))
    return ".".join(names)[:_LONGEST_DETAIL] or None
