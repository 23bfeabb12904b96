"""Blobs under storm: each that can be seen is whole, and each that is referred to can be seen."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.store import tables
from app.store.blob_files import hash_file
from app.store.blobs import LocalBlobs
from app.store.database import Store

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
    """Return what is wrong with the blobs that rows refer to: absent, or not whole."""
    return [
        f"{where} refers to the blob {sha256}, which is "
        f"{'damaged' if blobs.exists(tenant, sha256) else 'not there'}"
        for (tenant, sha256), where in sorted(_referred(store).items())
        if not blobs.verify(tenant, sha256)
    ]


def _referred(store: Store) -> dict[tuple[str, str], str]:
    """Return each blob that a row refers to, by tenant and sha-256, with one such row's place."""
    found: dict[tuple[str, str], str] = {}
    plain = ((tables.uploads, "blob"), (tables.artifacts, "sha256"))
    documents = (
        (tables.datasets, "manifest"),
        (tables.generators, "files"),
        (tables.classifiers, "files"),
        (tables.tasks, "result"),
    )
    with store.read() as tx:
        for table, column in (*plain, *documents):
            for row in tx.rows(select(table.c.tenant_id, table.c[column])):
                for sha256 in _named(row[column]):
                    found.setdefault((row["tenant_id"], sha256), f"{table.name}.{column}")
    return found


def _named(value: Any) -> Iterator[str]:
    """Yield each sha-256 that a column names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from (_named(one) if isinstance(one, dict | list) else ())
    elif isinstance(value, dict):
        for name, one in value.items():
            if name == "sha256":
                yield one
            elif isinstance(one, dict | list):
                yield from _named(one)
