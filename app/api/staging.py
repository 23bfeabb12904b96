"""Parts of uploads on disk: written beside their place, renamed when whole, joined at the end."""

import hashlib
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO
from uuid import uuid4

from starlette.concurrency import run_in_threadpool

from app.domain.problems import BadRequest, Conflict, OutOfSpace, TooLarge
from app.domain.records import Part
from app.store.blob_files import disk_problems, make_folder, sync
from app.store.failpoints import failpoint

_CHUNK = 1 << 20
_FOLDER = "uploads"


class Staging:
    """A tenant's uploads that are not complete, on the file system of the blobs."""

    def __init__(self, folder: Path, tenant_id: str) -> None:
        self.root = folder / _FOLDER / tenant_id

    def ensure_space(self, wanted: int) -> None:
        """Raise OutOfSpace where a file of this size cannot fit now, Unavailable where the disk fails."""
        with disk_problems():
            make_folder(self.root)
        if shutil.disk_usage(self.root).free < wanted:
            raise OutOfSpace(f"There is no room for {wanted} bytes.")

    async def receive(
        self, upload_id: str, number: int, stream: AsyncIterator[bytes], expected: int
    ) -> "ReceivedPart":
        """Write a part to a temporary file, in memory of about one chunk.

        Raises:
            BadRequest: the body ended early.
            TooLarge: it went on after ``expected`` bytes; not more than one chunk was read beyond.
            OutOfSpace: the disk is full.
            Unavailable: the disk did not take it, or did not confirm that it did.
        """
        folder = self.root / upload_id
        temporary = folder / f"{number}.{uuid4().hex}.partial"
        part = ReceivedPart(temporary, folder / str(number))
        with disk_problems():
            await run_in_threadpool(make_folder, folder)
        try:
            with disk_problems(), temporary.open("xb", buffering=0) as file:
                await _write(stream, file, part, expected)
                failpoint("part.before_sync")
                await run_in_threadpool(sync, temporary)
        except BaseException:
            part.discard()
            raise
        return part

    def missing(self, upload_id: str, parts: Sequence[Part]) -> list[int]:
        """Return the numbers of recorded parts whose file is not here, or not whole."""
        folder = self.root / upload_id
        return [part.number for part in parts if _size(folder / str(part.number)) != part.bytes]

    def assemble(self, upload_id: str, parts: Sequence[Part]) -> tuple[Path, str]:
        """Return a new file with all parts in order, and its sha-256; the parts stay.

        Raises:
            Conflict: a part's bytes are not those that were received.
            OutOfSpace: the disk is full.
            Unavailable: it failed.
        """
        folder = self.root / upload_id
        folder.mkdir(parents=True, exist_ok=True)
        whole = folder / f"whole.{uuid4().hex}.partial"
        digest = hashlib.sha256()
        try:
            with disk_problems(), whole.open("xb") as out:
                for part in parts:
                    _append(folder / str(part.number), out, digest, part)
        except BaseException:
            whole.unlink(missing_ok=True)
            raise
        return whole, digest.hexdigest()

    def remove(self, upload_id: str) -> None:
        shutil.rmtree(self.root / upload_id, ignore_errors=True)


def staged(folder: Path) -> list[tuple[str, str]]:
    """Return tenant and id of each upload that has something here."""
    return sorted((path.parent.name, path.name) for path in folder.glob(f"{_FOLDER}/*/*"))


class ReceivedPart:
    """A part whose bytes are on disk under a temporary name."""

    def __init__(self, temporary: Path, final: Path) -> None:
        self._temporary = temporary
        self._final = final
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, file: IO[bytes], chunk: bytes) -> None:
        """Write all of the chunk: an unbuffered file may take less than it is given."""
        self._digest.update(chunk)
        self.bytes += len(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]

    def keep(self) -> None:
        """Give the part its name, for good; a part sent twice is replaced whole."""
        with disk_problems():
            failpoint("part.before_rename")
            self._temporary.replace(self._final)
            failpoint("part.after_rename")
            sync(self._final.parent)

    def discard(self) -> None:
        self._temporary.unlink(missing_ok=True)


async def _write(
    stream: AsyncIterator[bytes], file: IO[bytes], part: ReceivedPart, expected: int
) -> None:
    pending = bytearray()
    async for chunk in stream:
        pending += chunk
        if part.bytes + len(pending) > expected:
            raise TooLarge(f"The part has more than the {expected} bytes it must have.")
        if len(pending) >= _CHUNK:
            await run_in_threadpool(part.write, file, bytes(pending))
            pending.clear()
    if pending:
        await run_in_threadpool(part.write, file, bytes(pending))
    if part.bytes != expected:
        raise BadRequest(
            f"The part has {part.bytes} bytes, {expected} were expected.", code="wrong_length"
        )


def _append(source: Path, out: IO[bytes], whole: "hashlib._Hash", part: Part) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            whole.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != part.sha256:
        raise Conflict(f"Part {part.number} is damaged; send it again.", code="part_damaged")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
