"""What every blob store has in common: the protocol, names, hashing and temporary files."""

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.domain.problems import Invalid, NotFound, OutOfSpace, Unavailable
from app.store.failpoints import failpoint

CHUNK = 1 << 20
FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Blob:
    """What was stored: its name, and its size in bytes."""

    sha256: str
    bytes: int


class BlobStore(Protocol):
    """Where blobs are kept.

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

    def delete(self, tenant_id: str, sha256: str) -> None:
        """Forget a blob; one that is not there is forgotten already."""

    def verify(self, tenant_id: str, sha256: str) -> bool:
        """Return whether the blob is there and its content has its sha-256."""

    def presign(self, tenant_id: str, sha256: str, *, seconds: float = 900) -> str | None:
        """Return a URL that anyone may read the blob by, for a while; None where there are none."""

    def ping(self) -> None:
        """Raise Unavailable unless blobs can be stored."""


def key_of(tenant_id: str, sha256: str) -> str:
    """Return a blob's relative path; NotFound for anything that is no tenant's id and sha-256."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tenant_id) or not re.fullmatch(
        r"[0-9a-f]{64}", sha256
    ):
        raise NotFound("blob")
    return f"{tenant_id}/{sha256[:2]}/{sha256}"


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
        sync(folder.parent)


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
