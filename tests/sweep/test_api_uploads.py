"""An upload through the API process, with a fault at each fsync, rename and write on the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from app.domain.records import ALL_SCOPES
from app.settings import Settings
from app.store.database import Store
from tests.sweep.api_process import Api
from tests.sweep.injection import (
    FAULTS,
    IO_ERROR,
    KILL,
    NO_SPACE,
    RENAMES,
    SYNCS,
    WRITES,
    Call,
    Fault,
    injected,
    read_trace,
    spread,
    traced,
)
from tests.sweep.judging import faults_of

CALLS = (*SYNCS, *RENAMES, *WRITES)
FEW = 3
"""Tries of each fault in the small sweep."""

PART = 1000
NUMBERS = (1, 2, 3)
FINE = 200
REFUSED = {KILL: (), NO_SPACE: (507, 503), IO_ERROR: (503,)}
"""What else may be answered under each fault. SQLite calls a sync that failed an I/O error, whatever the cause."""

FAILPOINTS = (
    "part.before_sync:2", "part.before_rename:2", "part.after_rename:2",
    "blob.before_sync:1", "blob.before_rename:1", "blob.after_rename:1",
)  # fmt: skip
KILLPOINTS = ("store.before_commit:3", "store.after_commit:3", "store.after_commit:5")

on_both = pytest.mark.parametrize(
    "database_url",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)],
    indirect=True,
)


@dataclass
class Sent:
    """What became of an upload under a fault.

    Attributes:
        acknowledged: numbers of the parts that were answered with 200.
        fault: that befalls it, if any.
        statuses: of all answers.
    """

    upload_id: str
    content: bytes
    fault: Fault | None = None
    acknowledged: list[int] = field(default_factory=list)
    complete: bool = False
    statuses: list[int] = field(default_factory=list)


@dataclass
class Front:
    """An API that is made anew where it has been killed, and the uploads sent to it."""

    settings: Settings
    tenant: str
    key: str
    number: Iterator[int] = field(default_factory=itertools.count)
    api: Api | None = None

    def alive(self, failpoint: str | None = None) -> Api:
        if self.api is None or self.api.dead or failpoint is not None:
            self.end()
            self.api = Api(self.settings, self.key, failpoint)
        return self.api

    def end(self) -> None:
        if self.api is not None:
            self.api.kill()

    def begin(self, fault: Fault | None = None) -> Sent:
        content = f"{next(self.number):06}".encode() * 400  # parts of 1000, 1000 and 400 bytes
        body = {"filename": "birds.npz", "bytes": len(content)}
        begun = self.alive().http.post("/v1/uploads", json=body).raise_for_status().json()
        return Sent(begun["id"], content, fault)

    def send(self, sent: Sent, numbers: tuple[int, ...] = NUMBERS) -> None:
        """Send parts and complete, each once whatever is answered, until the API is gone."""
        address = f"/v1/uploads/{sent.upload_id}"
        assert self.api is not None
        try:
            for number in numbers:
                part = sent.content[(number - 1) * PART : number * PART]
                answer = self.api.http.put(f"{address}/parts/{number}", content=part)
                sent.statuses.append(answer.status_code)
                if answer.status_code == FINE:
                    sent.acknowledged.append(number)
            if len(sent.acknowledged) == len(NUMBERS):
                answer = self.api.http.post(f"{address}/complete")
                sent.statuses.append(answer.status_code)
                sent.complete = answer.status_code == FINE
        except httpx.TransportError:
            self.api.process.join(60)
            assert self.api.dead, "it closed the connection, and lives"

    def judged(self, sent: Sent) -> list[str]:
        """Return what is wrong, as whoever sent it finds it out; the upload is completed on the way."""
        complete = [sent.upload_id] if sent.complete else []
        where = self.settings.home / "blobs"
        wrong = faults_of(self.settings.database, where, self.tenant, complete)
        allowed = {FINE, *(REFUSED[sent.fault] if sent.fault else ())}
        wrong += [f"answered {status}" for status in sent.statuses if status not in allowed]
        address = f"/v1/uploads/{sent.upload_id}"
        http = self.alive().http
        shown: dict[str, Any] = http.get(address).raise_for_status().json()
        there = [part["number"] for part in shown["parts"]]
        if shown["state"] != "complete" and not set(sent.acknowledged) <= set(there):
            wrong.append(f"parts {sent.acknowledged} were acknowledged, {there} are there")
        left = tuple(number for number in NUMBERS if number not in there)
        if shown["state"] != "complete":
            sent.acknowledged = there
            self.send(sent, left)
            if not sent.complete:
                wrong.append(f"it could not be resumed: {sent.statuses}")
        return wrong + faults_of(self.settings.database, where, self.tenant, [sent.upload_id])


@pytest.fixture
def front(store: Store, tenant: str, database_url: str, tmp_path: Path) -> Iterator[Front]:
    with store.write() as tx:
        _, key = tx.keys.create(tenant, "test", ALL_SCOPES)
    settings = Settings(
        home=tmp_path / "home",
        database_url=database_url,
        part_bytes=PART,
        reconcile_seconds=3600,  # what it does meanwhile would be counted, too
        log_level="ERROR",
    )
    front = Front(settings, tenant, key)
    yield front
    front.end()


@on_both
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_upload_survives_every_fault_of_the_disk_and_of_the_api(
    by_strace: bool, front: Front, tmp_path: Path, fault: Fault, many: bool
) -> None:
    if not by_strace:
        by_failpoints(front, fault)
        return
    calls = [c for c in seen(front, tmp_path / "calm") if c.inside(front.settings.home, tmp_path)]
    parts = [call for call in calls if call.name in SYNCS and ".partial" in call.targets[0]]
    chosen = calls if many else [*spread(calls, FEW), *parts[:1]]
    hits = 0
    for call in chosen:
        sent, pid = front.begin(fault), front.alive().pid
        log = tmp_path / "trace"
        inject = f"{call.name}:when={call.number}:{fault.strace}"
        with traced([pid], log, CALLS, inject):
            front.send(sent)
        hit = injected(log)
        hits += front.api is not None and (front.api.dead or bool(hit))
        if any(c.name in SYNCS and c.inside(front.settings.home / "blobs") for c in hit):
            # Killed, it has told nobody; otherwise what was not confirmed is not acknowledged.
            assert fault is KILL or set(sent.statuses) & set(REFUSED[fault]), call.text
        assert front.judged(sent) == [], f"{fault.name} at {call.name} {call.number}: {call.text}"
    kind = make_url(front.settings.database).get_backend_name()
    print(f"{fault.name} on {kind}, by strace: {hits} hits at {len(chosen)} of {len(calls)} calls")
    assert hits >= 0.8 * len(chosen)  # which thread serves a request is not always the same


def seen(front: Front, log: Path) -> list[Call]:
    """Return the calls of an upload in peace: each name and number once, whichever thread made it."""
    sent, api = front.begin(), front.alive()
    with traced([api.pid], log, CALLS):
        front.send(sent)
    assert sent.complete
    calls = read_trace(log)
    return list({(call.name, call.number): call for call in reversed(calls)}.values())[::-1]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fault", [pytest.param(f, marks=pytest.mark.slow) for f in FAULTS])
def test_an_upload_survives_the_same_at_the_named_failpoints(front: Front, fault: Fault) -> None:
    by_failpoints(front, fault)


def by_failpoints(front: Front, fault: Fault) -> None:
    for name in FAILPOINTS + (KILLPOINTS if fault is KILL else ()):
        front.alive(f"{name}{fault.failpoint}")
        sent = front.begin(fault)
        front.send(sent)
        assert front.api is not None
        assert front.api.dead is (fault is KILL), name
        assert front.judged(sent) == [], name
