"""Blobs on their way out of a store, into one, and past a look at their hashes; several at once."""

import errno
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
from app.domain.problems import NotFound, Unavailable
from app.store.blob_files import CHUNK, BlobStore, disk_problems, temporary_in, write_hashed

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


def copying(
    pieces: Pieces, target: BlobStore, *, mode: int | None = None
) -> Callable[[str, str], Seen]:
    """Return what copies a blob into a store, durably, its hash checked on the way.

    Args:
        pieces: where from.
        target: where to.
        mode: permissions of the copy, where it is a file; by default what the umask leaves.
    """

    def copy(tenant_id: str, sha256: str) -> Seen:
        temporary = temporary_in(target.staging)
        try:
            with disk_problems():
                blob = write_hashed(temporary, _read(pieces, tenant_id, sha256))
            if blob.sha256 != sha256:
                return Seen(0, "damaged")
            if mode is not None:
                temporary.chmod(mode)
            target.put_file(tenant_id, temporary, sha256=sha256)
        except _Lost as lost:
            return Seen(0, lost.fault)
        finally:
            temporary.unlink(missing_ok=True)
        return Seen(blob.bytes)

    return copy


def looking(pieces: Pieces) -> Callable[[str, str], Seen]:
    """Return what reads a blob and compares its hash."""

    def look(tenant_id: str, sha256: str) -> Seen:
        digest, size = hashlib.sha256(), 0
        try:
            for piece in _read(pieces, tenant_id, sha256):
                digest.update(piece)
                size += len(piece)
        except _Lost as lost:
            return Seen(0, lost.fault)
        return Seen(size) if digest.hexdigest() == sha256 else Seen(0, "damaged")

    return look


class _Lost(Exception):
    """A blob cannot be read, and never will be."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def _read(pieces: Pieces, tenant_id: str, sha256: str) -> Iterator[bytes]:
    """Yield a blob's pieces.

    Raises:
        _Lost: it is not there, or the disk does not give it back: that is a fault of this blob, and no
            reason to leave the others.
    """
    try:
        yield from pieces(tenant_id, sha256)
    except (NotFound, FileNotFoundError):
        raise _Lost("missing") from None
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise _Lost("damaged") from error


def pieces_of(folder: Folder) -> Pieces:
    """Return what reads a backup's blobs."""

    def pieces(tenant_id: str, sha256: str) -> Iterator[bytes]:
        with folder.blob(tenant_id, sha256).open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    return pieces
