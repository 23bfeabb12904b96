"""Blobs in an object store, S3 and its kin.

A file is hashed on the local disk first and then put under its key, where an object appears whole; the
store's own acknowledgement says that it is durable.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.exceptions import NotFoundError as ObjectMissing
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from app.domain.problems import Invalid, NotFound, Unavailable
from app.store.blob_files import (
    ASIDE,
    CHUNK,
    Blob,
    SetAside,
    Stored,
    aside_key,
    check_sum,
    disk_problems,
    hash_file,
    is_sha256,
    key_of,
    read_aside,
    temporary_in,
    write_hashed,
)
from app.store.failpoints import failpoint

if TYPE_CHECKING:
    from obstore import ObjectMeta

_CACHE_BYTES = 50 << 30
_COPIED_AT_ONCE = 5 << 30
"""Bytes that S3 copies by itself; what is larger goes through this host."""

_CACHE_KEPT_SECONDS = 3600.0
"""A file used within this time stays in the cache, however full: a task may be about to open it."""


def open_objects(url: str, home: Path) -> "ObjectBlobs":
    """Return the store of a URL; keys and endpoint come from the usual ``AWS_*`` and like variables."""
    store = from_url(url)
    if not isinstance(store, S3Store | GCSStore | AzureStore):
        raise TypeError("a blob URL begins with file://, s3://, gs:// or az://")
    return ObjectBlobs(store, home)


class ObjectBlobs:
    """Blobs under ``tenant/ab/sha256`` below a store's prefix."""

    def __init__(self, store: S3Store | GCSStore | AzureStore, home: Path) -> None:
        self._store = store
        self.staging = home / "staging"
        self._cache = home / "cache"
        self.staging.mkdir(parents=True, exist_ok=True)

    def put_file(self, tenant_id: str, path: Path, *, sha256: str | None = None) -> Blob:
        with disk_problems():
            blob = hash_file(path)
        check_sum(blob, sha256)
        failpoint("blob.before_put")
        with _problems():
            obstore.put(self._store, key_of(tenant_id, blob.sha256), path)
        if path.is_relative_to(self.staging):
            path.unlink(missing_ok=True)
        return blob

    def put_bytes(self, tenant_id: str, data: bytes) -> Blob:
        with disk_problems():
            temporary = temporary_in(self.staging)
            write_hashed(temporary, iter([data]))
        try:
            return self.put_file(tenant_id, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def open_range(
        self, tenant_id: str, sha256: str, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        size = self.size(tenant_id, sha256)
        end = size if end is None else min(end, size)
        return self._pieces(key_of(tenant_id, sha256), start, end)

    def _pieces(self, key: str, start: int, end: int) -> Iterator[bytes]:
        if start >= end:  # a store refuses an empty range
            return
        with _problems():
            found = obstore.get(self._store, key, options={"range": (start, end)})
            for piece in found.stream(min_chunk_size=CHUNK):
                yield bytes(piece)

    def size(self, tenant_id: str, sha256: str) -> int:
        key = key_of(tenant_id, sha256)
        with suppress(NotFound):
            return self._size(key)
        self.bring_back(tenant_id, sha256)
        return self._size(key)  # whether or not it was this reader who brought it back

    def _size(self, key: str) -> int:
        with _problems():
            return int(obstore.head(self._store, key)["size"])

    def exists(self, tenant_id: str, sha256: str) -> bool:
        try:
            self.size(tenant_id, sha256)
        except NotFound:
            return False
        return True

    def local_path(self, tenant_id: str, sha256: str) -> Path:
        cached = self._cache / key_of(tenant_id, sha256)
        if not cached.is_file():
            self._make_room(self.size(tenant_id, sha256))
            self._download(tenant_id, sha256, cached)
        os.utime(cached)
        return cached

    def stored(self, tenant_id: str) -> Iterator[Stored]:
        for meta in self._listed(tenant_id):
            name = meta["path"].rpartition("/")[2]
            if is_sha256(name):
                yield Stored(name, meta["size"], meta["last_modified"])

    def set_aside(self, tenant_id: str, sha256: str) -> None:
        key = key_of(tenant_id, sha256)
        (self._cache / key).unlink(missing_ok=True)
        # No store renames. Between copy and deletion another process may put the same content anew, which
        # the deletion takes; the copy has it.
        with suppress(NotFound):
            self._copy(key, aside_key(tenant_id, sha256))
            failpoint("blob.after_copy")
            with _problems():
                obstore.delete(self._store, key)

    def aside(self, tenant_id: str) -> Iterator[SetAside]:
        for meta in self._listed(f"{ASIDE}/{tenant_id}"):
            found = read_aside(meta["path"], meta["size"])
            if found is not None:
                yield found

    def bring_back(self, tenant_id: str, sha256: str) -> bool:
        key = key_of(tenant_id, sha256)
        for meta in self._listed(f"{ASIDE}/{key}".rpartition("/")[0]):
            if meta["path"].startswith(f"{ASIDE}/{key}."):
                # It may be destroyed meanwhile, as another reader has brought it back.
                with suppress(NotFound):
                    # The copy stays where it is: a deletion of the name may still be on its way.
                    self._copy(meta["path"], key)
                    return True
        return False

    def destroy(self, gone: SetAside) -> bool:
        try:
            with _problems():
                obstore.delete(self._store, gone.key)
        except NotFound:
            return False
        return True  # also where the store does not say that nothing was there

    def _listed(self, folder: str) -> Iterator["ObjectMeta"]:
        with _problems():
            for batch in obstore.list(self._store, prefix=folder):
                yield from batch

    def _copy(self, source: str, target: str) -> None:
        if self._size(source) <= _COPIED_AT_ONCE:
            with _problems():
                obstore.copy(self._store, source, target)
            return
        with _problems():
            obstore.put(self._store, target, obstore.get(self._store, source).stream())

    def verify(self, tenant_id: str, sha256: str) -> bool:
        try:
            return hash_file(self.local_path(tenant_id, sha256)).sha256 == sha256
        except (NotFound, Invalid):
            return False

    def presign(self, tenant_id: str, sha256: str, *, seconds: float = 900) -> str | None:
        with _problems():
            key = key_of(tenant_id, sha256)
            self.size(tenant_id, sha256)  # an address does not bring back what is set aside
            return str(obstore.sign(self._store, "GET", key, timedelta(seconds=seconds)))

    def ping(self) -> None:
        with _problems():
            for _ in obstore.list(self._store, chunk_size=1):
                break

    def _download(self, tenant_id: str, sha256: str, cached: Path) -> None:
        with disk_problems():
            temporary = temporary_in(self.staging)
            found = write_hashed(temporary, self.open_range(tenant_id, sha256))
            if found.sha256 != sha256:
                temporary.unlink()
                raise Invalid("A stored object is damaged.", code="checksum_mismatch")
            cached.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(cached)  # unsynced: a cache may be lost

    def _make_room(self, wanted: int) -> None:
        """Delete the cached files that were used longest ago, until the cache is within its size."""
        files = [(path, path.stat()) for path in self._cache.glob("*/*/*")]
        total = wanted + sum(stat.st_size for _, stat in files)
        for path, stat in sorted(files, key=lambda file: file[1].st_mtime):
            if total <= _CACHE_BYTES or time.time() - stat.st_mtime < _CACHE_KEPT_SECONDS:
                return
            path.unlink(missing_ok=True)
            total -= stat.st_size


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except (ObjectMissing, FileNotFoundError):
        raise NotFound("blob") from None
    except BaseError as error:
        raise Unavailable("The object store does not answer.") from error
