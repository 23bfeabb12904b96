"""Problems: one shape, stable codes."""

import pytest

from app.domain import problems
from app.domain.problems import Invalid, JobFailure, NotFound, Problem


def _all(kind: type[Problem]) -> list[type[Problem]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _all(child))]


@pytest.mark.parametrize("kind", _all(Problem))
def test_every_problem_has_a_status_a_title_and_a_code(kind: type[Problem]) -> None:
    assert 400 <= kind.status < 600
    assert kind.title
    assert kind.default_code.replace("_", "").islower()


def test_the_body_is_the_one_of_rfc_9457_and_names_the_request() -> None:
    body = Invalid("Row 118 is NaN.", code="non_finite_values", param="x").body("req_1")
    assert body == {
        "type": "urn:cultivar:problem:non_finite_values",
        "title": "Invalid input",
        "status": 422,
        "detail": "Row 118 is NaN.",
        "code": "non_finite_values",
        "param": "x",
        "request_id": "req_1",
        "retryable": False,
    }


def test_absence_is_told_without_an_id() -> None:
    assert NotFound("job").body() == NotFound("job").body()
    assert "_" not in NotFound("job").detail


def test_what_may_succeed_later_says_so() -> None:
    assert problems.Unavailable("busy").retryable
    assert problems.OutOfSpace("full").retryable
    assert JobFailure.no_progress(5).retryable
    assert not JobFailure.crash_loop(3).retryable
    assert not Invalid("no").retryable


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (JobFailure.input_failed("job 1"), "input_failed"),
        (JobFailure.crash_loop(3), "crash_loop"),
        (JobFailure.deadline_exceeded(5), "deadline_exceeded"),
        (JobFailure.no_progress(5), "no_progress"),
    ],
)
def test_why_a_job_failed_has_the_codes_that_are_promised(failure: JobFailure, code: str) -> None:
    assert failure.code == code
