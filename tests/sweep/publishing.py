"""The publish path in a process of its own: a blob is put, the row that names it committed, and told."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from app.domain.problems import Problem
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.failpoints import VARIABLE
from tests.sweep.injection import let_others_trace_me

FILES = 2
PATIENCE_SECONDS = 120.0
_PIECES, _PIECE = 2, 1 << 20
KILLED = (-9, 137)
"""Exit statuses of a process that a signal or a failpoint has killed."""

# Forks processes that have the service imported already: a try costs milliseconds, not a second.
forking = multiprocessing.get_context("forkserver")
forking.set_forkserver_preload(["app.embedded", "tests.sweep.publishing"])


def content(number: int) -> bytes:
    """Return the bytes of a file: more than two writes."""
    return bytes([number]) * (_PIECES * _PIECE + 17)


@dataclass(frozen=True)
class Place:
    """Where it publishes.

    Attributes:
        make_blobs: makes the blob store of a folder; a test may seed a fault of its own here.
    """

    url: str
    home: Path
    tenant: str
    failpoint: str | None = None
    make_blobs: Callable[[Path], LocalBlobs] = LocalBlobs

    @property
    def blobs(self) -> Path:
        return self.home / "blobs"


@dataclass
class Told:
    """What a publisher said before it ended.

    Attributes:
        acknowledged: upload's id by number of file.
        refused: the problems that it met, none of which has ended it.
    """

    acknowledged: dict[int, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    broken: str | None = None


class Publisher:
    """A process that is ready to publish, and begins when told."""

    def __init__(self, place: Place) -> None:
        self._ours, theirs = forking.Pipe()
        self.process: BaseProcess = forking.Process(target=_publish, args=(theirs, place))
        self.process.start()
        theirs.close()
        assert self._ours.recv() == "ready"

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def run(self) -> Told:
        """Have it publish its files; return what it told until it ended, or was killed."""
        told = Told()
        self._ours.send("go")
        try:
            while self._ours.poll(PATIENCE_SECONDS):
                what, *facts = self._ours.recv()
                if what == "acknowledged":
                    told.acknowledged[facts[0]] = facts[1]
                elif what == "refused":
                    told.refused.append(facts[0])
                else:
                    told.broken = facts[0]
        except (EOFError, ConnectionResetError):
            pass
        self.process.join(PATIENCE_SECONDS)
        assert self.process.exitcode in (0, *KILLED), self.process.exitcode
        return told

    @property
    def killed(self) -> bool:
        return self.process.exitcode in KILLED


def _publish(pipe: Connection, place: Place) -> None:
    let_others_trace_me()
    if place.failpoint is not None:
        os.environ[VARIABLE] = place.failpoint
    store, blobs = Store(place.url), place.make_blobs(place.blobs)
    store.ping()  # connected: what follows are the calls of publishing alone
    pipe.send("ready")
    pipe.recv()
    for number in range(FILES):
        while True:
            try:
                upload = publish_one(store, blobs, place.tenant, number)
            except Problem as problem:
                pipe.send(
                    ("refused", problem.code)
                )  # and tried again, as whoever asked for it would
            except Exception as error:  # noqa: BLE001 - nothing but problems may come out; the test says so
                pipe.send(("broken", repr(error)))
                return
            else:
                pipe.send(("acknowledged", number, upload))
                break


def publish_one(store: Store, blobs: LocalBlobs, tenant: str, number: int) -> str:
    """Store a file and commit the row that names it; return the row's id."""
    blob = blobs.put_bytes(tenant, content(number))
    with store.write() as tx:
        upload = tx.uploads.create(tenant, f"{number}.npz", blob.bytes, None, 1 << 30)
        tx.uploads.complete(tenant, upload.id, blob.sha256, blob.bytes)
    return upload.id
