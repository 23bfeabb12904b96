"""Blobs: bytes by tenant and sha-256, that appear whole or not at all.

Nothing is shared across tenants: that a blob exists must not tell one tenant what another has stored.
"""

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from app.domain.problems import Invalid, NotFound, OutOfSpace, Unavailable
from app.store.failpoints import failpoint

CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}


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


def open_blobs(url: str, home: Path) -> BlobStore:
    """Return the store that a URL names.

    Args:
        url: ``file:///folder``, or ``s3://``, ``gs://`` or ``az://``.
        home: where a store that is not local stages files and keeps its cache.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalBlobs(Path(unquote(parts.path)))
    from app.store.objects import open_objects  # noqa: PLC0415 - a local store does not need it

    return open_objects(url, home)


def key_of(tenant_id: str, sha256: str) -> str:
    """Return a blob's relative path; NotFound for anything that is no tenant's id and sha-256."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tenant_id) or not re.fullmatch(
        r"[0-9a-f]{64}", sha256
    ):
        raise NotFound("blob")
    return f"{tenant_id}/{sha256[:2]}/{sha256}"


class LocalBlobs:
    """Blobs in a folder.

    A blob's bytes are written under a temporary name, hashed, and synced; then renamed, and the folder
    synced. A sync that fails is never repeated, because the kernel may have dropped what it could not
    write and call the next one a success: the file is discarded, and whoever wants it writes it anew. For
    the same reason a blob that exists is replaced by the new file rather than trusted.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.staging = root / ".staging"
        self.staging.mkdir(parents=True, exist_ok=True)

    def put_file(self, tenant_id: str, path: Path, *, sha256: str | None = None) -> Blob:
        with full_disk():
            if path.is_relative_to(self.staging):
                return self._adopt(tenant_id, path, hash_file(path), sha256)
            temporary = temporary_in(self.staging)
            with path.open("rb") as source:
                blob = write_hashed(temporary, iter(lambda: source.read(CHUNK), b""))
            return self._adopt(tenant_id, temporary, blob, sha256)

    def put_bytes(self, tenant_id: str, data: bytes) -> Blob:
        with full_disk():
            temporary = temporary_in(self.staging)
            return self._adopt(tenant_id, temporary, write_hashed(temporary, iter([data])), None)

    def open_range(
        self, tenant_id: str, sha256: str, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        size = self.size(tenant_id, sha256)
        file = self._path(tenant_id, sha256).open("rb")
        return _pieces(file, start, size if end is None else min(end, size))

    def size(self, tenant_id: str, sha256: str) -> int:
        try:
            return self._path(tenant_id, sha256).stat().st_size
        except FileNotFoundError:
            raise NotFound("blob") from None

    def exists(self, tenant_id: str, sha256: str) -> bool:
        return self._path(tenant_id, sha256).is_file()

    def local_path(self, tenant_id: str, sha256: str) -> Path:
        self.size(tenant_id, sha256)
        return self._path(tenant_id, sha256)

    def delete(self, tenant_id: str, sha256: str) -> None:
        self._path(tenant_id, sha256).unlink(missing_ok=True)

    def verify(self, tenant_id: str, sha256: str) -> bool:
        try:
            return hash_file(self._path(tenant_id, sha256)).sha256 == sha256
        except FileNotFoundError:
            return False

    def presign(self, tenant_id: str, sha256: str, *, seconds: float = 900) -> str | None:  # noqa: ARG002 - the protocol's
        return None

    def ping(self) -> None:
        if not os.access(self.staging, os.W_OK | os.X_OK):
            raise Unavailable("The blob folder cannot be written to.")

    def _path(self, tenant_id: str, sha256: str) -> Path:
        return self._root / key_of(tenant_id, sha256)

    def _adopt(self, tenant_id: str, temporary: Path, blob: Blob, wanted: str | None) -> Blob:
        """Make a file of the staging folder a blob."""
        try:
            check_sum(blob, wanted)
            path = self._path(tenant_id, blob.sha256)
            failpoint("blob.before_sync")
            _sync(temporary)
            self._make_folder(path.parent)
            failpoint("blob.before_rename")
            temporary.replace(path)
            failpoint("blob.after_rename")
        except BaseException:
            # Where even this fails, the file lies in staging under a name that nothing reads.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync(path.parent)
        return blob

    def _make_folder(self, folder: Path) -> None:
        """Make a blob's folder so that it outlives a power cut: each new one is synced into its parent."""
        if not folder.is_dir():
            if folder != self._root:
                self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            _sync(folder.parent)


def check_sum(blob: Blob, wanted: str | None) -> None:
    """Raise Invalid unless the content has the sha-256 that was promised, if one was."""
    if wanted is not None and blob.sha256 != wanted:
        raise Invalid(
            f"The content's sha-256 is {blob.sha256}, expected {wanted}.", code="checksum_mismatch"
        )


@contextmanager
def full_disk() -> Iterator[None]:
    """Turn the system's "no space" into OutOfSpace."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfSpace("The disk is full; nothing of the file was kept.") from error
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


def _sync(path: Path) -> None:
    """Make a file's bytes, or a folder's names, outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise Unavailable("The disk did not confirm what was written.") from error
    finally:
        os.close(handle)


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = end - start
        while left > 0:
            piece = file.read(min(CHUNK, left))
            if not piece:
                return
            left -= len(piece)
            yield piece
