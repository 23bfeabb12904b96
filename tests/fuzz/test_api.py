"""The API under requests drawn from its own document; `make fuzz` sends many more."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fuzz.answers import PROBLEM, AnswerFault, check_answer
from tests.fuzz.api import Outcome

CASES = 200
GOOD = {
    "type": "urn:cultivar:problem:not_found",
    "title": "Not found",
    "status": 404,
    "detail": "There is no such job.",
    "code": "not_found",
    "param": None,
    "request_id": "req_1",
    "retryable": False,
}


def test_drawn_requests_find_no_fault_and_every_operation_succeeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.api", "--cases", str(CASES)],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "server errors 0, faults 0" in done.stdout


def answer(sent: int = 404, media_type: str = PROBLEM, **changes: Any) -> Any:
    body = {**GOOD, **changes}
    return SimpleNamespace(
        status_code=sent,
        headers={"x-request-id": ["req_1"], "content-type": [media_type]},
        json=lambda: body,
    )


ASKED = SimpleNamespace(
    operation=SimpleNamespace(
        definition=SimpleNamespace(raw={"responses": {"200": {}, "404": {}, "default": {}}})
    )
)


def test_a_problem_as_promised_is_no_fault() -> None:
    check_answer(answer(), ASKED)


@pytest.mark.parametrize(
    "bad",
    [
        answer(500, status=500),
        answer(201),
        answer(409, status=409),
        answer(media_type="application/json"),
        answer(extra="x"),
        answer(status=400),
        answer(request_id="req_2"),
        answer(type="about:blank"),
        answer(detail='File "/app/x.py", line 1.'),
        answer(detail="no sentence"),
    ],
)
def test_an_answer_that_breaks_a_promise_is_a_fault(bad: Any) -> None:
    with pytest.raises(AnswerFault):
        check_answer(bad, ASKED)


def test_an_operation_that_hardly_succeeds_is_named() -> None:
    outcome = Outcome()
    outcome.statuses["get_job"].update({200: 20, 404: 5})
    outcome.statuses["retry_job"].update({202: 19, 422: 90})
    outcome.statuses["cancel_job"].update(())
    assert outcome.too_seldom(20) == ["cancel_job", "retry_job"]
    assert outcome.cases == 134
    assert outcome.too_seldom(1) == ["cancel_job"]
