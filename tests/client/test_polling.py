"""Waiting for a job, driven by hand."""

import json

import pytest

from cultivar import APIConnectionError, WaitTimeout
from cultivar._constants import FIRST_POLL, LONGEST_POLL, MAX_RETRIES
from cultivar._exchange import Pause, Reply, Send
from cultivar._polling import poll


def job(state, etag):
    body = {"id": "job_1", "kind": "gelda", "state": state}
    return Reply(200, {"etag": etag}, json.dumps(body).encode())


UNCHANGED = Reply(304, {})


def drive(flow, answers):
    sent, paused, answers = [], [], iter(answers)
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                paused.append(step.seconds)
                step = flow.send(None)
                continue
            assert isinstance(step, Send)
            sent.append(dict(step.headers))
            answer = next(answers)
            step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration as end:
        return end.value, sent, paused


def test_polling_names_the_version_it_knows():
    answers = [job("queued", '"1"'), UNCHANGED, job("running", '"2"'), job("succeeded", '"3"')]
    heard = []
    ended, sent, _ = drive(poll("job_1", heard.append), answers)
    assert ended.state == "succeeded"
    assert sent == [
        {},
        {"If-None-Match": '"1"'},
        {"If-None-Match": '"1"'},
        {"If-None-Match": '"2"'},
    ]
    assert [one.state for one in heard] == ["queued", "running", "succeeded"]


def test_polling_slows_down_while_nothing_changes_and_no_further():
    answers = [job("running", '"1"'), *[UNCHANGED] * 30, job("succeeded", '"2"')]
    _, _, paused = drive(poll("job_1", lambda _: None), answers)
    assert paused[0] == FIRST_POLL
    assert paused == sorted(paused)
    assert paused[-1] == LONGEST_POLL


def test_a_change_makes_polling_quicker_again():
    answers = [*[UNCHANGED] * 20, job("running", '"1"'), UNCHANGED, job("succeeded", '"2"')]
    _, _, paused = drive(poll("job_1", lambda _: None), answers)
    assert paused[20] < paused[19]


def test_an_outage_does_not_end_a_wait():
    lost = [APIConnectionError("http://x", "gone")] * (2 * (MAX_RETRIES + 1))
    ended, _, _ = drive(poll("job_1", lambda _: None), [*lost, job("succeeded", '"1"')])
    assert ended.state == "succeeded"


def test_a_wait_with_a_time_out_gives_up():
    with pytest.raises(WaitTimeout, match="goes on"):
        drive(poll("job_1", lambda _: None, timeout=0.0), [job("running", '"1"')])


def test_polling_ends_where_the_job_waits_for_a_person_unless_told_otherwise():
    answers = [job("running", '"1"'), job("awaiting_review", '"2"'), job("succeeded", '"3"')]
    waits, _, _ = drive(poll("job_1", lambda _: None), answers)
    assert waits.state == "awaiting_review"
    ended, _, _ = drive(poll("job_1", lambda _: None, until_ended=True), answers)
    assert ended.state == "succeeded"
