"""A backup's folder: what lies where, and how it is written so that half of one is known as such.

manifest.json             written last: a folder without one is no backup
tables/NAME.jsonl         one line of columns, then one line a row
blobs/TENANT/ab/SHA256    as a local blob store keeps them
"""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal, TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from app.store.blob_files import Blob, hash_file, key_of, sync

_MANIFEST = "manifest.json"


class BackupError(Exception):
    """What was asked for cannot be done, or found a fault, in words an operator can act on."""


class TableFile(BaseModel):
    """What a table's file must be."""

    model_config = ConfigDict(frozen=True)

    rows: int
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What a finished backup says of itself."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    version: str
    """Of the service that made it."""
    revision: str
    """The migration that its tables are at."""
    database: str
    taken_at: datetime
    tables: dict[str, TableFile]
    """By name, in an order in which a row comes after those it refers to."""
    blobs: int
    blob_bytes: int
    blobs_lost: int
    """Blobs that rows name and that were missing or damaged already when the backup was made."""


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = path / "blobs"

    def create(self) -> None:
        """Make the folder, for its owner alone.

        Raises:
            BackupError: there is something in it.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise BackupError(
                f"{self.path} is not an empty folder; a backup is made into a new one"
            )
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        (self.path / "tables").mkdir(mode=0o700)
        self.blobs.mkdir(mode=0o700)

    def table(self, name: str) -> Path:
        return self.path / "tables" / f"{name}.jsonl"

    def table_is_as_written(self, name: str, wanted: TableFile) -> bool:
        """Return whether a table's file is there and what the manifest says."""
        try:
            return hash_file(self.table(name)) == Blob(wanted.sha256, wanted.bytes)
        except FileNotFoundError:
            return False

    def blob(self, tenant_id: str, sha256: str) -> Path:
        return self.blobs / key_of(tenant_id, sha256)

    def stored_blobs(self) -> Iterator[tuple[str, str]]:
        """Yield tenant and name of each file where blobs lie."""
        for path in self.blobs.glob("[!.]*/*/*"):
            yield path.parent.parent.name, path.name

    def finish(self, manifest: Manifest) -> None:
        """Make a backup of what has been written: the manifest appears whole, after all else is durable."""
        sync(self.path / "tables")
        sync(self.blobs)
        partial = self.path / f"{_MANIFEST}.partial"
        with create_private(partial) as file:
            file.write(manifest.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / _MANIFEST)
        sync(self.path)
        sync(self.path.absolute().parent)

    def manifest(self) -> Manifest:
        """Return what the backup says of itself.

        Raises:
            BackupError: it is no backup, was not finished, is damaged, or of a later version.
        """
        try:
            text = (self.path / _MANIFEST).read_text()
        except FileNotFoundError:
            raise BackupError(f"{self.path} {self._why_no_backup()}") from None
        except UnicodeDecodeError:
            raise BackupError(f"{self.path / _MANIFEST} is damaged: it is no text") from None
        try:
            return Manifest.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole of it"
            raise BackupError(
                f"{self.path / _MANIFEST} is damaged, or of a later version: {where}: {first['msg']}"
            ) from None

    def _why_no_backup(self) -> str:
        if not self.path.is_dir():
            return "is no folder; name that of a backup"
        if (self.path / "tables").is_dir():
            return "is a backup that was not finished; make another one, and remove this"
        return "is no backup: it has no manifest.json"


def create_private(path: Path) -> TextIO:
    """Open a new text file that its owner alone may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
