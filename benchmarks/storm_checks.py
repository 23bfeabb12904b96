"""What must hold after a storm; each broken promise is a sentence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.domain.jobs import SUCCESSFUL, TERMINAL, TRANSITIONS, JobState
from benchmarks.storm_load import Sent
from benchmarks.storm_records import Records
from benchmarks.storm_work import Expected

STABLE = {"synthetic.npz", "classifier.safetensors", "config.json"}
"""Artifacts that hold nothing of the job itself: equal jobs make equal ones."""

_UNTOLD = (JobState.STARTING, JobState.FINALIZING)
"""States that a job passes through without an event of their own."""


@dataclass
class Verdict:
    """Broken promises by kind; empty lists where all were kept."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.corrupt, *self.wrong]


def check(records: Records, sent: Iterable[Sent]) -> Verdict:
    """Hold the records against what clients were told."""
    verdict, asked = Verdict(), list(sent)
    known = {one.job_id: one for one in asked if one.job_id is not None}
    for one in asked:
        _check_acknowledged(records, one, verdict)
    for job_id in records.jobs:
        verdict.doubled.extend(_ended_twice(records, job_id))
        verdict.wrong.extend(_history(records, job_id))
        if records.state(job_id) not in TERMINAL:
            verdict.lost.append(f"{job_id} is {records.state(job_id)} and stays so")
        elif job_id in known:
            _check_end(records, known[job_id], job_id, verdict)
    verdict.corrupt.extend(_unlike(records, known))
    return verdict


def _check_acknowledged(records: Records, sent: Sent, verdict: Verdict) -> None:
    """A key makes one job, however often it is sent, and none is forgotten."""
    told = set(sent.job_ids)
    named = [row["job_id"] for row in records.named.get(sent.key, [])]
    there = {*records.labels.get(sent.key, []), *named}
    if len(told) > 1 or len(there) > 1 or len(named) > 1:
        verdict.doubled.append(f"the key {sent.key} made {len(there | told)} jobs")
    if told - set(records.jobs):
        verdict.lost.append(f"{sent.key} was acknowledged, and its job is not there")
    elif told and told != there:
        verdict.lost.append(f"{sent.key} was acknowledged as another job than it made")


def _ended_twice(records: Records, job_id: str) -> Iterator[str]:
    ends = [one["type"] for one in records.events[job_id] if _state(one["type"]) in TERMINAL]
    if len(ends) > 1:
        yield f"{job_id} ended {len(ends)} times: {', '.join(ends)}"
    for noun in ("dataset", "generator", "classifier"):
        if len(records.made(noun).get(job_id, [])) > 1:
            yield f"{job_id} made more than one {noun}"
    names = Counter(row["name"] for row in records.artifacts.get(job_id, []))
    yield from (f"{job_id} has {name} {n} times" for name, n in names.items() if n > 1)


def _history(records: Records, job_id: str) -> Iterator[str]:
    """The events tell a way through TRANSITIONS, and nothing comes after the end."""
    state = JobState.QUEUED
    for number, event in enumerate(records.events[job_id]):
        if state in TERMINAL:
            yield f"{job_id}: {event['type']} came after its end"
        new = _state(event["type"])
        if new is None or (number == 0 and new is state):
            continue
        if not _leads(state, new):
            yield f"{job_id} went from {state} to {new}"
        state = new
    if state is not records.state(job_id) and records.state(job_id) not in _UNTOLD:
        yield f"{job_id} is {records.state(job_id)}, and its events end in {state}"


def _state(event: str) -> JobState | None:
    name = event.removeprefix("job.")
    return JobState(name) if name in set(JobState) else None


def _leads(old: JobState, new: JobState) -> bool:
    """Return whether a legal way goes from one state to another through untold ones alone."""
    reached, ahead = {old}, [old]
    while ahead:
        for following in TRANSITIONS[ahead.pop()]:
            if following is new:
                return True
            if following in _UNTOLD and following not in reached:
                reached.add(following)
                ahead.append(following)
    return False


def end_of(records: Records, job_id: str) -> str:
    """Return the state a job ended in, or the code it failed with."""
    job = records.jobs[job_id]
    return job["error"]["code"] if job["state"] == JobState.FAILED else str(job["state"])


def _check_end(records: Records, sent: Sent, job_id: str, verdict: Verdict) -> None:
    end, expected = end_of(records, job_id), sent.asked.expected
    if end == JobState.SUCCEEDED and expected.error is None:
        verdict.corrupt.extend(_effects(records, job_id, expected))
        return
    verdict.corrupt.extend(_left_behind(records, job_id))
    allowed = {"crash_loop", expected.error or ""}
    if sent.canceled:
        allowed.add(JobState.CANCELED)
    if any(records.state(i) not in SUCCESSFUL for i in records.inputs.get(job_id, [])):
        allowed.add("input_failed")
    if end not in allowed:
        error = records.jobs[job_id]["error"] or {}
        verdict.wrong.append(
            f"{job_id} ({sent.asked.name}) ended as {end}: {error.get('detail', 'no error')}"
        )


def _effects(records: Records, job_id: str, expected: Expected) -> Iterator[str]:
    """A job that succeeded has made what was asked for, whole and once."""
    names = {row["name"] for row in records.artifacts.get(job_id, [])}
    if names != expected.artifacts:
        yield f"{job_id} has the artifacts {sorted(names)}, not {sorted(expected.artifacts)}"
    for noun in ("dataset", "generator", "classifier"):
        count = len(records.made(noun).get(job_id, []))
        if count != (noun == expected.makes):
            yield f"{job_id} made {count} {noun}s"
    generated = records.jobs[job_id]["counts"].get("generated")
    if generated != expected.generated:
        yield f"{job_id} says that it drew {generated} rows, and {expected.generated} were asked for"
    for dataset in records.datasets.get(job_id, []):
        rows = (dataset["manifest"] or {}).get("rows")
        if dataset["state"] != "ready" or rows != expected.rows:
            yield f"the dataset of {job_id} is {dataset['state']} with {rows} rows"
    for task in records.tasks[job_id]:
        if task["state"] != "succeeded":
            yield f"{job_id} succeeded, and its task {task['stage']} is {task['state']}"


def _left_behind(records: Records, job_id: str) -> Iterator[str]:
    """A job that did not succeed shows nothing."""
    if records.artifacts.get(job_id):
        yield f"{job_id} did not succeed, and has artifacts"
    for noun in ("generator", "classifier"):
        if records.made(noun).get(job_id):
            yield f"{job_id} did not succeed, and made a {noun}"
    for dataset in records.datasets.get(job_id, []):
        if dataset["state"] != "failed":
            yield f"{job_id} did not succeed, and its dataset is {dataset['state']}"
    for task in records.tasks[job_id]:
        if task["state"] in {"blocked", "queued", "running"}:
            yield f"{job_id} has ended, and its task {task['stage']} is {task['state']}"


def _unlike(records: Records, known: dict[str, Sent]) -> Iterator[str]:
    """Equal jobs make equal bytes, however often they were interrupted."""
    found: dict[tuple[object, ...], dict[str, str]] = defaultdict(dict)
    for job_id, sent in known.items():
        same = sent.asked.expected.same
        if same is None or job_id not in records.jobs:
            continue
        if records.state(job_id) not in SUCCESSFUL:
            continue
        for name, sha256 in _bytes_of(records, job_id):
            first = found[*same, name].setdefault(sha256, job_id)
            if len(found[*same, name]) > 1 and first == job_id:
                yield f"{name} of {job_id} differs from that of its equals"


def _bytes_of(records: Records, job_id: str) -> Iterator[tuple[str, str]]:
    for artifact in records.artifacts.get(job_id, []):
        if artifact["name"] in STABLE:
            yield artifact["name"], artifact["sha256"]
    for dataset in records.datasets.get(job_id, []):
        for name, column in dataset["manifest"]["columns"].items():
            yield name, column["sha256"]
    for generator in records.generators.get(job_id, []):
        for name, file in generator["files"].items():
            if name.endswith(".safetensors"):
                yield name, file["sha256"]
