"""Zip and tar archives as files that can be read one by one; nothing is unpacked under a name."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from models.embeddings.array_files import Upload
from models.embeddings.limits import MiB
from models.embeddings.wording import show, size
from models.embeddings.zip_directory import Entry, read_directory
from models.embeddings.zip_entry import EntryStream
from models.errors import InputProblem
from models.raw.limits import RawLimits
from models.raw.problem import ItemProblem
from models.raw.tar_directory import TarEntry, read_tar

_STRAYS = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"}


class Member(NamedTuple):
    """One file of an archive; its size is in bytes, its number counts from 0."""

    number: int
    name: str
    size: int


class Archive(Protocol):
    """The files of an archive, each of which may be read.

    Attributes:
        filename: what its owner calls it.
        where: what it is called in a sentence.
        members: without folders and without what operating systems leave behind.
    """

    filename: str
    where: str
    members: Sequence[Member]

    def read(self, member: Member) -> bytes:
        """Return a file's bytes.

        Raises:
            ItemProblem: ``item_damaged``.
            InputProblem: ``archive_too_large`` when there is more than was declared.
        """


class ZipArchive:
    """A zip archive whose directory has been held against the limits; see `Archive`."""

    def __init__(self, upload: Upload, limits: RawLimits) -> None:
        self.filename = upload.filename
        self.where = show(upload.filename)
        self._entries: list[Entry] = read_directory(upload.path, upload.filename, limits)
        self.members: Sequence[Member] = _members([(e.name, e.size) for e in self._entries])
        self._file = upload.path.open("rb")

    def read(self, member: Member) -> bytes:
        stream = EntryStream(self._file, self.filename, self._entries[member.number])
        pieces: list[bytes] = []
        try:
            while piece := stream.read(4 * MiB):
                pieces.append(piece)
        except InputProblem as problem:
            if problem.code == "archive_too_large":
                raise
            raise ItemProblem("item_damaged", "is damaged within the archive") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class TarArchive:
    """An uncompressed tar archive whose headers have been held against the limits; see `Archive`."""

    def __init__(self, path: Path, filename: str, limits: RawLimits) -> None:
        self.filename = filename
        self.where = show(filename)
        self._entries: list[TarEntry] = read_tar(path, filename, limits)
        self.members: Sequence[Member] = _members([(e.name, e.size) for e in self._entries])
        self._file = path.open("rb")

    def read(self, member: Member) -> bytes:
        self._file.seek(self._entries[member.number].offset)
        return self._file.read(member.size)


def open_archive(upload: Upload, limits: RawLimits, scratch: Path) -> Archive:
    """Return a zip or tar archive; a compressed tar is unpacked into one file in ``scratch``.

    Raises:
        InputProblem: what `read_directory` and `read_tar` raise.
    """
    with upload.path.open("rb") as file:
        head = file.read(4)
    if head.startswith(b"PK"):
        return ZipArchive(upload, limits)
    if not head.startswith(b"\x1f\x8b"):
        return TarArchive(upload.path, upload.filename, limits)
    plain = _inflated(upload, limits, scratch)
    archive = TarArchive(plain, upload.filename, limits)
    plain.unlink()  # it lives on for as long as the archive holds it open
    return archive


def _inflated(upload: Upload, limits: RawLimits, scratch: Path) -> Path:
    plain = scratch / "unpacked.tar"
    stored, total = upload.path.stat().st_size, 0
    try:
        with gzip.open(upload.path) as packed, plain.open("wb") as file:
            while piece := packed.read(MiB):
                total += len(piece)
                if total > limits.max_array_bytes or limits.is_bomb(total, stored):
                    raise InputProblem(
                        "archive_too_large",
                        f"{show(upload.filename)} unpacks to more than {size(total)} from "
                        f"{size(stored)}; at most {limits.max_ratio} times, and "
                        f"{size(limits.max_array_bytes)}, are taken.",
                        upload.filename,
                    )
                file.write(piece)
    except EOFError:
        raise InputProblem(
            "truncated_file",
            f"{show(upload.filename)} is cut off ({size(stored)}).",
            upload.filename,
        ) from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise InputProblem(
            "bad_archive",
            f"{show(upload.filename)} cannot be unpacked: {show(error)}.",
            upload.filename,
        ) from None
    return plain


def _members(entries: Sequence[tuple[str, int]]) -> list[Member]:
    return [
        Member(number, "/".join(part for part in name.split("/") if part not in ("", ".")), length)
        for number, (name, length) in enumerate(entries)
        if not _is_stray(name)
    ]


def _is_stray(name: str) -> bool:
    """Tell whether an operating system put a file there, not its owner."""
    last = name.rpartition("/")[2]
    return last.lower() in _STRAYS or last.startswith("._") or "__MACOSX" in name.split("/")
