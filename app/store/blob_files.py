"""What every blob store has in common: the protocol, names, hashing and temporary files."""

import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from app.domain.problems import Invalid, NotFound, OutOfSpace, Unavailable
from app.store.failpoints import failpoint

CHUNK = 1 << 20
FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Blob:
    """What was stored: its name, and its size in bytes."""

    sha256: str
    bytes: int

    @property
    def named(self) -> dict[str, Any]:
        """How documents name it: `app.store.references` finds it by this form alone."""
        return {"sha256": self.sha256, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob as its store lists it.

    Attributes:
        modified: when it was last put, by the clock of the store's file system.
    """

    sha256: str
    bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class SetAside:
    """A blob that is no more under its name, and not destroyed yet.

    Attributes:
        since: when it was set aside, by the clock of the process that did it.
        key: its present name, which no other blob ever has.
    """

    sha256: str
    bytes: int
    since: datetime
    key: str


class BlobStore(Protocol):
    """Where blobs are kept.

    A blob that is to go is first set aside (`app.store.garbage` says when, and why). Every way of reading
    finds it there all the same, and brings it back.

    Attributes:
        staging: a folder for files that are being written; from here `put_file` moves, not copies.
    """

    staging: Path

    def put_file(self, tenant_id: str, path: Path, *, sha256: str | None = None) -> Blob:
        """Store a file's content; durable when this returns. A file in `staging` is moved.

        Raises:
            Invalid: the content has not the sha-256 that was given.
            OutOfSpace: the disk is full; nothing is visible.
            Unavailable: the bytes could not be made durable; nothing may rely on them.
        """

    def put_bytes(self, tenant_id: str, data: bytes) -> Blob:
        """Store some bytes, as `put_file` does."""

    def open_range(
        self, tenant_id: str, sha256: str, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """Return the bytes from ``start`` up to, not including, ``end`` in pieces of about 1 MiB.

        Raises:
            NotFound: at once, not at the first piece.
        """

    def size(self, tenant_id: str, sha256: str) -> int:
        """Return the size in bytes, or raise NotFound."""

    def exists(self, tenant_id: str, sha256: str) -> bool: ...

    def local_path(self, tenant_id: str, sha256: str) -> Path:
        """Return a file of this host with the content, for reading only, or raise NotFound."""

    def stored(self, tenant_id: str) -> Iterator[Stored]:
        """Yield a tenant's blobs, in no order; one put meanwhile may or may not be among them."""

    def set_aside(self, tenant_id: str, sha256: str) -> None:
        """Take a blob's name away and keep its content; one that is not there is left so."""

    def aside(self, tenant_id: str) -> Iterator[SetAside]:
        """Yield what is set aside of a tenant, in no order."""

    def bring_back(self, tenant_id: str, sha256: str) -> bool:
        """Give a blob that is set aside its name again; False where none is aside."""

    def destroy(self, gone: SetAside) -> bool:
        """Delete for good what was set aside, under that very key alone; False where it was brought back."""

    def verify(self, tenant_id: str, sha256: str) -> bool:
        """Return whether the blob is there and its content has its sha-256."""

    def presign(self, tenant_id: str, sha256: str, *, seconds: float = 900) -> str | None:
        """Return a URL that anyone may read the blob by, for a while; None where there are none."""

    def ping(self) -> None:
        """Raise Unavailable unless blobs can be stored."""


def is_sha256(name: str) -> bool:
    """Whether a name has the form of a blob's."""
    return re.fullmatch(r"[0-9a-f]{64}", name) is not None


def key_of(tenant_id: str, sha256: str) -> str:
    """Return a blob's relative path; NotFound for anything that is no tenant's id and sha-256."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tenant_id) or not is_sha256(sha256):
        raise NotFound("blob")
    return f"{tenant_id}/{sha256[:2]}/{sha256}"


_ASIDE = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{12})[0-9a-f]{16}")


ASIDE = ".aside"
"""Where blobs are set aside, by tenant; no tenant's id has a dot."""


def aside_key(tenant_id: str, sha256: str) -> str:
    """Return a new relative path for a blob that is set aside now; the time is part of it."""
    millis = time.time_ns() // 1_000_000
    return f"{ASIDE}/{key_of(tenant_id, sha256)}.{millis:012x}{secrets.token_hex(8)}"


def read_aside(key: str, size: int) -> SetAside | None:
    """Return what a path that `aside_key` made says; None for any other."""
    found = _ASIDE.fullmatch(key.rpartition("/")[2])
    if found is None:
        return None
    since = datetime.fromtimestamp(int(found[2], 16) / 1000, UTC)
    return SetAside(found[1], size, since, key)


def check_sum(blob: Blob, wanted: str | None) -> None:
    """Raise Invalid unless the content has the sha-256 that was promised, if one was."""
    if wanted is not None and blob.sha256 != wanted:
        raise Invalid(
            f"The content's sha-256 is {blob.sha256}, expected {wanted}.", code="checksum_mismatch"
        )


@contextmanager
def disk_problems() -> Iterator[None]:
    """Turn the system's "no space" into OutOfSpace, and its "I/O error" into Unavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OutOfSpace("The disk is full; nothing of the file was kept.") from error
        if error.errno == errno.EIO:
            raise Unavailable("The disk failed; nothing of the file was kept.") from error
        raise


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's names, outlive a power cut.

    Raises:
        Unavailable: the disk did not confirm it. It must not be asked again: the kernel may have dropped
            what it could not write, and call the next sync a success.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise Unavailable("The disk did not confirm what was written.") from error
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder so that it outlives a power cut: each new one is synced into its parent."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        try:
            sync(folder.parent)
        except BaseException:
            # Who finds it takes it for one that lasts. Not empty, somebody else has made it as well.
            with suppress(OSError):
                folder.rmdir()
            raise


def temporary_in(folder: Path) -> Path:
    """Return a name in the folder that nothing else uses."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{secrets.token_hex(16)}.tmp"


def write_hashed(path: Path, pieces: Iterator[bytes]) -> Blob:
    """Write a new file and return its hash and size; no file is left where that fails."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb", buffering=0) as out:
            for piece in pieces:
                failpoint("blob.write")
                digest.update(piece)
                size += len(piece)
                rest = memoryview(piece)
                while rest:  # an unbuffered write may take less than it is given
                    rest = rest[out.write(rest) :]
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Blob(digest.hexdigest(), size)


def hash_file(path: Path) -> Blob:
    """Return a file's hash and size."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Blob(digest.hexdigest(), file.tell())
