"""What must hold after a storm, each check with records that break one promise."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from app.domain.jobs import JobState
from benchmarks import storm_work
from benchmarks.storm_checks import Verdict, check
from benchmarks.storm_load import Sent
from benchmarks.storm_records import Records

JOB, KEY = "job_1", "storm-0-0-1"
S = JobState


def made(*jobs: str) -> Records:
    """Return the records of classifier jobs that have succeeded, as an honest service leaves them."""
    found = Records(**{field.name: defaultdict(list) for field in fields(Records)})
    for job in jobs:
        found.jobs[job] = {"state": S.SUCCEEDED, "error": None, "counts": {}}
        found.tasks[job] = [{"stage": "train", "state": "succeeded"}]
        found.events[job] = [
            {"type": f"job.{state}"} for state in (S.QUEUED, S.RUNNING, S.SUCCEEDED)
        ]
        found.artifacts[job] = [{"name": name, "sha256": name} for name in storm_work.HEAD]
        found.classifiers[job] = [{"id": "clf_1"}]
        found.labels[KEY] = [JOB]
    return found


def asked(*jobs: str) -> list[Sent]:
    classifier = storm_work.classifier(random.Random(0), "ds_1")
    return [Sent(KEY, classifier, [job]) for job in jobs]


def told(verdict: Verdict) -> dict[str, list[str]]:
    return {field.name: getattr(verdict, field.name) for field in fields(Verdict)}


NONE = told(Verdict())


def test_a_job_that_kept_every_promise_is_no_fault() -> None:
    assert told(check(made(JOB), asked(JOB))) == NONE
    # Nor is one that nobody was told of, or one that a client was told of twice.
    assert told(check(made(JOB), [Sent(KEY, asked(JOB)[0].asked)])) == NONE
    assert told(check(made(JOB), [Sent(KEY, asked(JOB)[0].asked, [JOB, JOB])])) == NONE


def forget(records: Records) -> None:
    del records.jobs[JOB]


def make_another(records: Records) -> None:
    records.jobs["job_2"] = records.jobs[JOB]
    records.events["job_2"] = records.events[JOB]


def set_state(state: JobState, **fields: Any) -> Callable[[Records], None]:
    def act(records: Records) -> None:
        records.jobs[JOB] = {**records.jobs[JOB], "state": state, **fields}
        records.events[JOB][-1] = {"type": f"job.{state}"}

    return act


def fail_with(code: str) -> Callable[[Records], None]:
    return set_state(S.FAILED, error={"code": code, "detail": "why"})


def tell(*events: str) -> Callable[[Records], None]:
    return lambda records: records.events[JOB].extend({"type": one} for one in events)


def hide(records: Records) -> None:
    """Let the job that failed show nothing."""
    records.artifacts.clear()
    records.classifiers.clear()


def both(*acts: Callable[[Records], object]) -> Callable[[Records], None]:
    def act(records: Records) -> None:
        for one in acts:
            one(records)

    return act


BROKEN: dict[str, tuple[Callable[[Records], object], str]] = {
    "forgotten": (forget, "lost: .*, and its job is not there"),
    "another's": (
        both(make_another, lambda r: r.labels.update({KEY: ["job_2"]})),
        "lost: .* acknowledged as another job",
    ),
    "two of a key": (
        both(make_another, lambda r: r.labels[KEY].append("job_2")),
        "doubled: the key .* made 2 jobs",
    ),
    "unfinished": (
        both(set_state(S.RUNNING), lambda r: r.events[JOB].pop()),
        "lost: .* is running and stays so",
    ),
    "two ends": (tell("job.succeeded"), "doubled: .* ended 2 times"),
    "two effects": (
        lambda r: r.classifiers[JOB].append({"id": "clf_2"}),
        "doubled: .* made more than one classifier",
    ),
    "a file twice": (
        lambda r: r.artifacts[JOB].append({"name": "card.md", "sha256": "x"}),
        "doubled: .* has card.md 2 times",
    ),
    "after the end": (tell("job.checkpoint"), "wrong: .* came after its end"),
    "a leap": (
        lambda r: r.events[JOB][1].update(type="job.canceling"),
        "wrong: .* went from canceling to succeeded",
    ),
    "untold": (lambda r: r.events[JOB].pop(), "wrong: .*, and its events end in running"),
    "no file": (lambda r: r.artifacts[JOB].pop(), "corrupt: .* has the artifacts"),
    "no effect": (lambda r: r.classifiers.clear(), "corrupt: .* made 0 classifiers"),
    "another effect": (
        lambda r: r.generators.update({JOB: [{"id": "gen_1", "files": {}}]}),
        "corrupt: .* made 1 generators",
    ),
    "rows too many": (
        lambda r: r.jobs[JOB]["counts"].update(generated=3),
        "corrupt: .* says that it drew 3 rows",
    ),
    "a task left": (
        lambda r: r.tasks[JOB][0].update(state="running"),
        "corrupt: .* its task train is running",
    ),
    "unexplained": (both(fail_with("internal_error"), hide), "wrong: .* ended as internal_error"),
    "shown in spite": (fail_with("crash_loop"), "corrupt: .* did not succeed, and has artifacts"),
    "canceled by nobody": (both(set_state(S.CANCELED), hide), "wrong: .* ended as canceled"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_told(name: str) -> None:
    act, sentence = BROKEN[name]
    records = made(JOB)
    act(records)
    found = told(check(records, asked(JOB)))
    sentences = "\n".join(f"{kind}: {one}" for kind, some in found.items() for one in some)
    assert re.search(sentence, sentences), sentences


def test_equal_jobs_with_unequal_bytes_are_told() -> None:
    records = made(JOB, "job_2")
    records.labels["other"] = ["job_2"]
    first, second = asked(JOB, "job_2")
    second.key = "other"
    assert told(check(records, [first, second])) == NONE
    files = {one["name"]: one for one in records.artifacts["job_2"]}
    files["card.md"]["sha256"] = "x"  # it tells of its job: no two are the same
    assert told(check(records, [first, second])) == NONE
    files["classifier.safetensors"]["sha256"] = "x"
    (sentence,) = check(records, [first, second]).corrupt
    assert "classifier.safetensors of job_2 differs" in sentence


def test_an_end_that_was_asked_for_is_no_fault() -> None:
    for act, canceled in ((fail_with("crash_loop"), False), (set_state(S.CANCELED), True)):
        records, (sent,) = made(JOB), asked(JOB)
        both(act, hide)(records)
        sent.canceled = canceled
        assert told(check(records, [sent])) == NONE
