"""What every answer must be, beside what Schemathesis checks by itself."""

from typing import Any

FIELDS = {"type", "title", "status", "detail", "code", "param", "request_id", "retryable"}
PROBLEM = "application/problem+json"

ANYWHERE = frozenset({400, 404, 405, 413, 415, 422})
"""Refusals that any operation may answer with, before it is known which operation it is."""


class AnswerFault(AssertionError):
    """An answer is not what the service promises of every answer."""


def check_answer(response: Any, case: Any) -> None:
    """Look at one answer.

    Raises:
        AnswerFault: its status is not documented, or it is a problem of another shape.
    """
    status, raw = response.status_code, case.operation.definition.raw
    documented = set(raw["responses"])
    if str(status) not in documented and status not in ANYWHERE:
        raise AnswerFault(f"the status {status} is not documented")
    if "x-request-id" not in response.headers:
        raise AnswerFault("there is no X-Request-ID")
    if status >= 400:
        _check_problem(response)


def _check_problem(response: Any) -> None:
    (media_type,) = response.headers["content-type"]
    if media_type != PROBLEM:
        raise AnswerFault(f"a problem came as {media_type}")
    body = response.json()
    if set(body) != FIELDS:
        raise AnswerFault(f"a problem has the fields {sorted(body)}")
    if body["status"] != response.status_code:
        raise AnswerFault(f"a problem says that it is a {body['status']}")
    if [body["request_id"]] != response.headers["x-request-id"]:
        raise AnswerFault("a problem has another request id than its answer")
    if body["type"] != f"urn:cultivar:problem:{body['code']}" or not body["detail"].endswith("."):
        raise AnswerFault(f"a problem says {body['type']}: {body['detail']}")
    if "Traceback" in body["detail"] or 'File "' in body["detail"]:
        raise AnswerFault(f"a problem tells of the inside: {body['detail']}")
