"""A blob and the row that names it, with a fault at each fsync, rename and write on the way."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.domain.problems import Problem, Unavailable
from app.store.blob_files import (
    Blob,
    disk_problems,
    key_of,
    sync,
    temporary_in,
    write_hashed,
)
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.failpoints import failpoint
from tests.sweep.injection import (
    FAULTS,
    FOLDERS,
    IO_ERROR,
    KILL,
    RENAMES,
    SENDS,
    SYNCS,
    WRITES,
    Call,
    Fault,
    injected,
    read_trace,
    spread,
    traced,
    unconfirmed,
)
from tests.sweep.judging import faults_of
from tests.sweep.publishing import FILES, Place, Publisher, Told

CALLS = (*SYNCS, *RENAMES, *WRITES, *SENDS)
FEW = {"sqlite": 6, "postgresql": 3}
"""Tries of each fault in the small sweep, spread over the whole path."""

FAILPOINTS = ("blob.write", "blob.before_sync", "blob.before_rename", "blob.after_rename")
KILLPOINTS = ("store.before_commit", "store.after_commit")

_HALF = 1 << 20
MakePlace = Callable[..., Place]


@pytest.fixture
def place(store: Store, database_url: str, tmp_path: Path) -> MakePlace:
    """Makes a tenant who has stored nothing yet: each try makes the same calls."""
    number = itertools.count()

    def make(**more: object) -> Place:
        with store.write() as tx:
            tenant = tx.tenants.create(f"tenant {next(number)}").id
        return replace(Place(database_url, tmp_path, tenant), **more)  # type: ignore[arg-type]

    return make


def seen(place: Place, log: Path) -> list[Call]:
    """Return the calls of publishing in peace."""
    publisher = Publisher(place)
    with traced([publisher.pid], log, CALLS):
        told = publisher.run()
    assert sorted(told.acknowledged) == list(range(FILES))
    return read_trace(log)


def judged(place: Place, told: Told) -> list[str]:
    found = faults_of(place.url, place.blobs, place.tenant, told.acknowledged.values())
    return found if told.broken is None else [f"it broke: {told.broken}", *found]


def swept(place: MakePlace, fault: Fault, calls: list[Call], log: Path) -> int:
    """Publish once a call, with the fault at that call; return how many were hit."""
    hits = 0
    for call in calls:
        publisher = Publisher(here := place())
        with traced([publisher.pid], log, CALLS, f"{call.name}:when={call.number}:{fault.strace}"):
            told = publisher.run()
        where = f"{fault.name} at {call.name} {call.number}: {call.text}"
        assert judged(here, told) == [], where
        if not publisher.killed:  # it went on, and tried again what was refused
            assert sorted(told.acknowledged) == list(range(FILES)), where
        hits += publisher.killed or bool(injected(log))
    return hits


def open_to(fault: Fault, call: Call, place: Place) -> bool:
    """Whether the fault can befall this call: a disk's failures are those of files."""
    return fault is KILL or call.inside(place.home)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_fault_leaves_part_of_a_blob_a_row_without_one_or_a_lost_acknowledgement(
    by_strace: bool, place: MakePlace, tmp_path: Path, fault: Fault, many: bool
) -> None:
    if not by_strace:
        by_failpoints(place, fault)
        return
    calm = place()
    database = make_url(calm.url).get_backend_name()
    calls = [c for c in seen(calm, tmp_path / "calm") if open_to(fault, c, calm)]
    chosen = calls if many else spread(calls, FEW[database])
    hits = swept(place, fault, chosen, tmp_path / "trace")
    print(
        f"{fault.name} on {database}, by strace: {hits} hits at {len(chosen)} of {len(calls)} calls"
    )
    assert hits >= 0.9 * len(chosen)  # SQLite may write a page less in the next try


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_same_holds_at_the_named_failpoints(place: MakePlace, fault: Fault) -> None:
    by_failpoints(place, fault)


def by_failpoints(place: MakePlace, fault: Fault) -> None:
    """Publish with the fault at each named place in turn."""
    for name in FAILPOINTS + (KILLPOINTS if fault is KILL else ()):
        here = place(failpoint=f"{name}:1{fault.failpoint}")
        publisher = Publisher(here)
        told = publisher.run()
        assert judged(here, told) == [], name
        assert publisher.killed is (fault is KILL), name
        if fault is not KILL:
            assert told.refused, name
            assert sorted(told.acknowledged) == list(range(FILES))


def test_what_a_sync_did_not_confirm_is_not_told_and_is_written_anew_before_the_next_sync(
    by_strace: bool, place: MakePlace, tmp_path: Path
) -> None:
    """Without strace `test_blobs` says the same of the calls that Python makes."""
    if not by_strace:
        return
    calm = place()
    syncs = [c for c in seen(calm, tmp_path / "calm") if c.name in SYNCS and c.inside(calm.home)]
    first = syncs[: len(syncs) // FILES + 1]  # those of the first file, whose folders are new
    for call in first:
        publisher, log = Publisher(here := place()), tmp_path / "trace"
        inject = f"{call.name}:when={call.number}:{IO_ERROR.strace}"
        with traced([publisher.pid], log, (*CALLS, *FOLDERS), inject):
            told = publisher.run()
        assert len(injected(log)) == 1, call.text
        assert told.refused == ["unavailable"], call.text
        assert sorted(told.acknowledged) == list(range(FILES)), call.text
        assert unconfirmed(read_trace(log)) == [], call.text
        assert judged(here, told) == []


class SyncedAgain(LocalBlobs):
    """A mutant: a file whose sync has failed is synced once more, and taken."""

    def put_bytes(self, tenant_id: str, data: bytes) -> Blob:
        temporary = temporary_in(self.staging)
        blob = write_hashed(temporary, iter([data]))
        with suppress(Unavailable):
            sync(temporary)
        return self._adopt(tenant_id, temporary, blob, None)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_sync_that_is_asked_again_is_found_out(
    by_strace: bool, place: MakePlace, tmp_path: Path
) -> None:
    if not by_strace:
        return
    publisher, log = Publisher(place(make_blobs=SyncedAgain)), tmp_path / "trace"
    with traced([publisher.pid], log, (*CALLS, *FOLDERS), f"fsync:when=1:{IO_ERROR.strace}"):
        publisher.run()
    assert unconfirmed(read_trace(log)) != []


ROW = {"sqlite": ["write the row", "sync the row"], "postgresql": ["ask the database"]}


def test_bytes_are_synced_then_named_then_the_name_is_synced_then_the_row_is_committed(
    by_strace: bool, place: MakePlace, tmp_path: Path
) -> None:
    """Without strace `test_blobs` says the same of the calls that Python makes."""
    if not by_strace:
        pytest.skip("only strace sees the calls of another process")
    here = place()
    steps = [step for call in seen(here, tmp_path / "calm") if (step := step_of(call))]
    order = [step for step, _ in itertools.groupby(steps)]
    row = ROW[make_url(here.url).get_backend_name()]
    one = ["write the bytes", "sync the bytes", "name them", "sync the folder", *row, "tell"]
    assert order == one * FILES


def step_of(call: Call) -> str | None:
    """Return what a call is for; None for the syncs that make a blob's new folders last."""
    target = Path(call.targets[0])
    if call.name in RENAMES:
        return "name them"
    if call.name in SENDS:
        return "ask the database"
    what = {True: "sync", False: "write"}[call.name in SYNCS]
    if target.name.endswith("-wal"):
        return f"{what} the row"
    if target.parent.name == ".staging":
        return f"{what} the bytes"
    if call.name in SYNCS:
        # The folder of one blob, whose name is the first two characters of the blob's.
        return "sync the folder" if len(target.name) == 2 else None
    return "tell"


class NamedTooEarly(LocalBlobs):
    """A mutant: the name is given before the bytes are written."""

    def put_bytes(self, tenant_id: str, data: bytes) -> Blob:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.staging.parent / key_of(tenant_id, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as out, disk_problems():
            for start in range(0, len(data), _HALF):
                failpoint("blob.write")
                out.write(data[start : start + _HALF])
        return Blob(sha256, len(data))


class ToldTooEarly(LocalBlobs):
    """A mutant: the bytes are said to be there when they are not."""

    def put_bytes(self, tenant_id: str, data: bytes) -> Blob:
        with suppress(Problem):
            return super().put_bytes(tenant_id, data)
        return Blob(hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("mutant", "call", "name"),
    [
        (NamedTooEarly, "write:when=2:signal=KILL", "blob.write:2"),
        (ToldTooEarly, "write:when=1:error=ENOSPC", "blob.write:1:enospc"),
        (ToldTooEarly, "fsync:when=1:error=EIO", "blob.before_sync:1:eio"),
    ],
)
def test_a_store_that_is_wrong_is_found_out(
    by_strace: bool,
    place: MakePlace,
    tmp_path: Path,
    mutant: type[LocalBlobs],
    call: str,
    name: str,
) -> None:
    here = place(make_blobs=mutant, failpoint=None if by_strace else name)
    publisher = Publisher(here)
    following = (
        traced([publisher.pid], tmp_path / "trace", CALLS, call) if by_strace else nullcontext()
    )
    with following:
        told = publisher.run()
    assert judged(here, told) != []
