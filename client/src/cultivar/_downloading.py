"""A file from the service: continued where it broke off, checked, and there whole or not at all."""

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cultivar._digests import parse_digest_field
from cultivar._exceptions import CultivarError, DigestMismatch
from cultivar._exchange import Flow, Send, Work, exchange

PARTIAL_CONTENT = 206


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at the service: where it is, and what it must turn out to be."""

    path: str
    name: str
    sha256: str
    bytes: int


class FileSink:
    """Takes a download's bytes into an open file and hashes them as they come."""

    def __init__(self, file: IO[bytes], on_bytes: Callable[[int], None]) -> None:
        self._file = file
        self._on_bytes = on_bytes
        self._hash = hashlib.sha256()
        self.received = 0
        self.promised: str | None = None

    def open(self, status: int, headers: Mapping[str, str]) -> None:
        """Start over, unless the answer continues what is already here."""
        self.promised = parse_digest_field(headers.get("repr-digest", "")) or self.promised
        if status != PARTIAL_CONTENT and self.received:
            self._on_bytes(-self.received)
            self._file.seek(0)
            self._file.truncate()
            self._hash = hashlib.sha256()
            self.received = 0

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)
        self.received += len(chunk)
        self._on_bytes(len(chunk))

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def download_to(
    wanted: RemoteFile, folder: Path, on_bytes: Callable[[int], None] = lambda _n: None
) -> Flow[Path]:
    """Fetch a file into a folder and return the file.

    Raises:
        DigestMismatch: the bytes' sha-256 is not the promised one; no file is left behind.
    """
    # The name is the service's word: it must not lead out of the folder.
    if Path(wanted.name).name != wanted.name or wanted.name in {"", ".", ".."}:
        raise CultivarError(f"{wanted.name!r} is no name for a file; it was not downloaded")
    folder = folder.expanduser()
    yield Work(lambda: folder.mkdir(parents=True, exist_ok=True))
    temporary = folder / f".{wanted.name}.{uuid.uuid4().hex}.partial"
    try:
        with temporary.open("xb") as file:
            sink = FileSink(file, on_bytes)
            yield from exchange(lambda: _request(wanted, sink))
            _check(wanted, sink)
            yield Work(lambda: _flush(file))
        return temporary.replace(folder / wanted.name)
    finally:
        temporary.unlink(missing_ok=True)


def _request(wanted: RemoteFile, sink: FileSink) -> Send:
    """Ask for what is not here yet: after a broken connection, the rest."""
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    if 0 < sink.received < wanted.bytes:
        headers["Range"] = f"bytes={sink.received}-"
    return Send("GET", wanted.path, headers=headers, sink=sink)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _check(wanted: RemoteFile, sink: FileSink) -> None:
    for promised in (wanted.sha256, sink.promised):
        if promised is not None and promised != sink.sha256:
            raise DigestMismatch(wanted.name, promised, sink.sha256)
