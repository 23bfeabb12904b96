"""Blobs on their way out of a store, into one, and past a look at their hashes; several at once."""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from app.backup.findings import Findings, Progress
from app.backup.folder import Folder
from app.backup.names import BlobNames
from app.domain.problems import Invalid, NotFound, Unavailable
from app.store.blob_files import CHUNK, BlobStore, temporary_in, write_hashed
from app.store.blobs import LocalBlobs

_AT_ONCE = 8
"""An object store takes its time to answer, and a disk to confirm."""

_GROUP = 256
_TRIED_AGAIN_AFTER = (1.0, 5.0, 20.0)

Fault = Literal["missing", "damaged"]
Pieces = Callable[[str, str], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one blob: its bytes, or what is wrong with it."""

    bytes: int
    fault: Fault | None = None


def deal_with(
    names: BlobNames, act: Callable[[str, str], Seen], check: Callable[[], None], findings: Findings
) -> Progress:
    """Do something with every blob; faults are noted, and the rest goes on.

    Args:
        names: the blobs.
        act: is given tenant and sha-256, in one of several threads.
        check: called after each group; raises where going on has lost its sense.
        findings: where faults are noted.
    """
    progress, waiting = Progress(findings.say, len(names)), iter(names)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while group := list(islice(waiting, _GROUP)):
            for name, seen in zip(
                group, pool.map(lambda name: _try(act, name), group), strict=True
            ):
                if seen.fault:
                    findings.note(seen.fault, f"{'/'.join(name)} of {names.owner(*name)}")
                else:
                    progress.add(seen.bytes)
            check()
    return progress


def _try(act: Callable[[str, str], Seen], name: tuple[str, str]) -> Seen:
    """Do it; hours of work are not thrown away because a store once did not answer."""
    for seconds in _TRIED_AGAIN_AFTER:
        try:
            return act(*name)
        except Unavailable:
            time.sleep(seconds)
    return act(*name)


def taking(source: BlobStore, target: LocalBlobs) -> Callable[[str, str], Seen]:
    """Return what copies a blob from a store into a backup, durably, its hash checked on the way."""

    def take(tenant_id: str, sha256: str) -> Seen:
        temporary = temporary_in(target.staging)
        try:
            blob = write_hashed(temporary, source.open_range(tenant_id, sha256))
        except NotFound:
            return Seen(0, "missing")
        if blob.sha256 != sha256:
            temporary.unlink()
            return Seen(0, "damaged")
        temporary.chmod(0o600)
        target.put_file(tenant_id, temporary, sha256=sha256)
        return Seen(blob.bytes)

    return take


def giving(folder: Folder, target: BlobStore) -> Callable[[str, str], Seen]:
    """Return what copies a blob from a backup into a store, its hash checked on the way."""

    def give(tenant_id: str, sha256: str) -> Seen:
        path = folder.blob(tenant_id, sha256)
        if not path.is_file():
            return Seen(0, "missing")
        try:
            return Seen(target.put_file(tenant_id, path, sha256=sha256).bytes)
        except Invalid:  # nothing of it was stored
            return Seen(0, "damaged")

    return give


def looking(pieces: Pieces) -> Callable[[str, str], Seen]:
    """Return what reads a blob and compares its hash."""

    def look(tenant_id: str, sha256: str) -> Seen:
        digest, size = hashlib.sha256(), 0
        try:
            for piece in pieces(tenant_id, sha256):
                digest.update(piece)
                size += len(piece)
        except (NotFound, FileNotFoundError):
            return Seen(0, "missing")
        return Seen(size) if digest.hexdigest() == sha256 else Seen(0, "damaged")

    return look


def pieces_of(folder: Folder) -> Pieces:
    """Return what reads a backup's blobs."""

    def pieces(tenant_id: str, sha256: str) -> Iterator[bytes]:
        with folder.blob(tenant_id, sha256).open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    return pieces
