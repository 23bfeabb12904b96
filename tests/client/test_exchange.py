"""Flows, driven by hand: every step is looked at, nothing is sent and nobody sleeps."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from cultivar import APIConnectionError, NotFoundError, RateLimitError
from cultivar._constants import LONGEST_RETRY, LONGEST_RETRY_AFTER, MAX_RETRIES
from cultivar._exchange import Pause, Reply, Send, exchange, new_key, problem, retry_after

GET = Send("GET", "/v1/jobs")


def reply(status, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, json.dumps(body or {}).encode())


def drive(flow, answers):
    """Run a flow with these answers to what it sends; return (result, steps)."""
    steps, answers = [], iter(answers)
    try:
        step = next(flow)
        while True:
            steps.append(step)
            if isinstance(step, Pause):
                step = flow.send(None)
                continue
            answer = next(answers)
            step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration as end:
        return end.value, steps


def pauses(steps):
    return [step.seconds for step in steps if isinstance(step, Pause)]


def test_an_answer_is_returned_without_a_pause():
    result, steps = drive(exchange(GET), [reply(200, {"a": 1})])
    assert result.json() == {"a": 1}
    assert steps == [GET]


def test_a_lost_connection_is_retried_ever_slower():
    lost = [APIConnectionError("http://x", "gone")] * MAX_RETRIES
    _, steps = drive(exchange(GET), [*lost, reply(200)])
    waited = pauses(steps)
    assert len(waited) == MAX_RETRIES
    assert waited[-1] > waited[0]
    assert max(waited) <= LONGEST_RETRY


def test_retries_come_to_an_end():
    with pytest.raises(APIConnectionError):
        drive(exchange(GET), [APIConnectionError("http://x", "gone")] * (MAX_RETRIES + 1))


def test_a_retried_post_keeps_its_idempotency_key():
    post = Send("POST", "/v1/jobs", headers=new_key())
    _, steps = drive(exchange(post), [reply(503), reply(202)])
    sent = [step for step in steps if isinstance(step, Send)]
    assert [step.headers["Idempotency-Key"] for step in sent] == [
        post.headers["Idempotency-Key"]
    ] * 2


def test_two_posts_have_two_idempotency_keys():
    assert new_key() != new_key()


def test_retry_after_is_honoured():
    _, steps = drive(exchange(GET), [reply(429, retry_after="7"), reply(200)])
    assert 7 <= pauses(steps)[0] <= 7 + LONGEST_RETRY


def test_a_retry_after_beyond_patience_is_raised_with_its_seconds():
    answer = reply(429, {"code": "quota_exceeded"}, retry_after=str(LONGEST_RETRY_AFTER + 1))
    with pytest.raises(RateLimitError) as caught:
        drive(exchange(GET), [answer])
    assert caught.value.retry_after == LONGEST_RETRY_AFTER + 1


def test_what_is_wrong_is_not_retried():
    body = {"code": "not_found", "detail": "There is no such job.", "request_id": "req_1"}
    with pytest.raises(NotFoundError) as caught:
        drive(exchange(GET), [reply(404, body)])
    assert (caught.value.code, caught.value.request_id) == ("not_found", "req_1")


def test_a_conflict_that_the_service_calls_retryable_is_retried():
    body = {"code": "idempotency_key_in_flight", "retryable": True}
    result, _ = drive(exchange(GET), [reply(409, body), reply(202)])
    assert result.status == 202


def test_a_page_of_a_proxy_makes_a_typed_error_too():
    error = problem(Reply(502, {"x-request-id": "abc"}, b"<html>Bad gateway</html>"))
    assert (error.status, error.code, error.retryable) == (502, "http_502", True)
    assert error.request_id == "abc"


def test_retry_after_is_read_in_both_its_forms():
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert 25 < retry_after({"retry-after": format_datetime(soon, usegmt=True)}) <= 30
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
