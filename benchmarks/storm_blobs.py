"""Blobs under storm: each that can be seen is whole, and each that is referred to can be seen."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from app.store.blob_files import hash_file
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.references import references

_LOOK_SECONDS = 0.25


class Reader(threading.Thread):
    """Looks at every file that appears under a blob's name, as soon as it appears.

    A file that is replaced is another one, and is looked at again. What is not whole by its name's
    sha-256 is told in `torn`, also where it is mended later: a reader has seen it.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(name="reader of blobs", daemon=True)
        self.torn: list[str] = []
        self.looked_at = 0
        self._root, self._ended = root, threading.Event()
        self._seen: set[tuple[str, int, int]] = set()

    def run(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self.look()

    def end(self) -> None:
        """Look once more, and end."""
        self._ended.set()
        self.join()
        self.look()

    def look(self) -> None:
        """Read what has not been read yet."""
        for entry in _files(self._root):
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue
            known = (entry.path, found.st_ino, found.st_mtime_ns)
            if known in self._seen:
                continue
            self._seen.add(known)
            self.looked_at += 1
            try:
                whole = hash_file(Path(entry.path)).sha256 == entry.name
            except FileNotFoundError:
                continue
            if not whole:
                self.torn.append(f"the blob {entry.name} was seen with {found.st_size} bytes of it")


def _files(root: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield the files of ``root/tenant/ab/sha256``; what is staged lies elsewhere."""
    for tenant in os.scandir(root):
        if tenant.name.startswith(".") or not tenant.is_dir():
            continue
        for folder in os.scandir(tenant):
            yield from os.scandir(folder)


def dangling(store: Store, blobs: LocalBlobs) -> list[str]:
    """Return what is wrong with the blobs that rows name: absent, or not whole."""
    with store.snapshot() as tx:
        named = {(one.tenant_id, one.sha256): one.owner for one in references(tx)}
    return [
        f"{owner} names the blob {sha256}, which is "
        f"{'damaged' if blobs.exists(tenant, sha256) else 'not there'}"
        for (tenant, sha256), owner in sorted(named.items())
        if not blobs.verify(tenant, sha256)
    ]
