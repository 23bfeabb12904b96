"""Blobs: bytes by tenant and sha-256, that appear whole or not at all.

Nothing is shared across tenants: that a blob exists must not tell one tenant what another has stored.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from app.domain.problems import NotFound, Unavailable
from app.store.blob_files import (
    ASIDE,
    CHUNK,
    Blob,
    BlobStore,
    SetAside,
    Stored,
    aside_key,
    check_sum,
    disk_problems,
    hash_file,
    is_sha256,
    key_of,
    make_folder,
    read_aside,
    sync,
    temporary_in,
    write_hashed,
)
from app.store.failpoints import failpoint

T = TypeVar("T")

__all__ = ["Blob", "BlobStore", "LocalBlobs", "open_blobs"]


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
        with disk_problems():
            make_folder(self.staging)

    def put_file(self, tenant_id: str, path: Path, *, sha256: str | None = None) -> Blob:
        with disk_problems():
            if path.is_relative_to(self.staging):
                return self._adopt(tenant_id, path, hash_file(path), sha256)
            temporary = temporary_in(self.staging)
            with path.open("rb") as source:
                blob = write_hashed(temporary, iter(lambda: source.read(CHUNK), b""))
            return self._adopt(tenant_id, temporary, blob, sha256)

    def put_bytes(self, tenant_id: str, data: bytes) -> Blob:
        with disk_problems():
            temporary = temporary_in(self.staging)
            return self._adopt(tenant_id, temporary, write_hashed(temporary, iter([data])), None)

    def open_range(
        self, tenant_id: str, sha256: str, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        file = self._reached(tenant_id, sha256, lambda path: path.open("rb"))
        size = os.fstat(file.fileno()).st_size
        return _pieces(file, start, size if end is None else min(end, size))

    def size(self, tenant_id: str, sha256: str) -> int:
        return self._reached(tenant_id, sha256, lambda path: path.stat().st_size)

    def exists(self, tenant_id: str, sha256: str) -> bool:
        try:
            self.size(tenant_id, sha256)
        except NotFound:
            return False
        return True

    def local_path(self, tenant_id: str, sha256: str) -> Path:
        self.size(tenant_id, sha256)
        return self._path(tenant_id, sha256)

    def stored(self, tenant_id: str) -> Iterator[Stored]:
        for path in (self._root / tenant_id).glob("??/*"):
            if not is_sha256(path.name):
                continue  # not ours
            with suppress(FileNotFoundError):
                stat = path.stat()
                modified = datetime.fromtimestamp(stat.st_mtime, UTC)
                yield Stored(path.name, stat.st_size, modified)

    def set_aside(self, tenant_id: str, sha256: str) -> None:
        aside = self._root / aside_key(tenant_id, sha256)
        aside.parent.mkdir(parents=True, exist_ok=True)
        # A rename takes whatever content has the name now, one put this moment too: it is the same.
        with suppress(FileNotFoundError):
            self._path(tenant_id, sha256).rename(aside)

    def aside(self, tenant_id: str) -> Iterator[SetAside]:
        for path in (self._root / ASIDE / tenant_id).glob("??/*"):
            with suppress(FileNotFoundError):
                key = path.relative_to(self._root).as_posix()
                found = read_aside(key, path.stat().st_size)
                if found is not None:
                    yield found

    def bring_back(self, tenant_id: str, sha256: str) -> bool:
        path, back = self._path(tenant_id, sha256), False
        folder = (self._root / ASIDE / key_of(tenant_id, sha256)).parent
        for aside in folder.glob(f"{sha256}.*"):
            with suppress(FileNotFoundError):  # another reader was first
                make_folder(path.parent)
                aside.replace(path)
                back = True
        return back

    def destroy(self, gone: SetAside) -> bool:
        try:
            (self._root / gone.key).unlink()
        except FileNotFoundError:
            return False
        return True

    def verify(self, tenant_id: str, sha256: str) -> bool:
        try:
            return self._reached(tenant_id, sha256, hash_file).sha256 == sha256
        except NotFound:
            return False

    def presign(self, tenant_id: str, sha256: str, *, seconds: float = 900) -> str | None:  # noqa: ARG002 - the protocol's
        return None

    def ping(self) -> None:
        if not os.access(self.staging, os.W_OK | os.X_OK):
            raise Unavailable("The blob folder cannot be written to.")

    def _path(self, tenant_id: str, sha256: str) -> Path:
        return self._root / key_of(tenant_id, sha256)

    def _reached(self, tenant_id: str, sha256: str, read: Callable[[Path], T]) -> T:
        """Return what `read` makes of a blob's file, which is brought back where it is set aside.

        Raises:
            NotFound: there is no such blob.
        """
        path = self._path(tenant_id, sha256)
        with suppress(FileNotFoundError):
            return read(path)
        # Whether or not it was this reader who brought it back.
        self.bring_back(tenant_id, sha256)
        try:
            return read(path)
        except FileNotFoundError:
            raise NotFound("blob") from None

    def _adopt(self, tenant_id: str, temporary: Path, blob: Blob, wanted: str | None) -> Blob:
        """Make a file of the staging folder a blob."""
        try:
            check_sum(blob, wanted)
            path = self._path(tenant_id, blob.sha256)
            failpoint("blob.before_sync")
            sync(temporary)
            make_folder(path.parent)
            failpoint("blob.before_rename")
            temporary.replace(path)
            failpoint("blob.after_rename")
        except BaseException:
            # Where even this fails, the file lies in staging under a name that nothing reads.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)
        return blob


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
