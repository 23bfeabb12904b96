"""The members of a tar archive, checked before one is read.

Read here, not by `tarfile`: it keeps an object of some kilobytes for each member, takes a header
of any length into memory, and follows what sparse members claim.
Source: POSIX.1-2017, "pax Interchange Format"; the GNU tar manual, "Basic Tar Format".
"""

from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from models.embeddings.entry_names import check_entry_name
from models.embeddings.limits import MiB
from models.embeddings.wording import show, size
from models.errors import InputProblem
from models.raw.limits import RawLimits

_BLOCK = 512
_MAX_HEADER = MiB
_FILES, _FOLDER, _LINKS_AND_DEVICES = (b"0", b"\0", b"7"), b"5", (b"1", b"2", b"3", b"4", b"6")


class TarEntry(NamedTuple):
    """One file of the archive; ``offset`` is that of its data, both are in bytes."""

    name: str
    size: int
    offset: int


def read_tar(path: Path, filename: str, limits: RawLimits) -> list[TarEntry]:
    """Return the files of an uncompressed tar archive in its order.

    Raises:
        InputProblem: ``archive_too_many_entries``, ``archive_too_large``, ``archive_unsafe_entry``,
            ``unsafe_pickle``, ``bad_archive``, ``truncated_file``.
    """
    with path.open("rb") as file:
        return _Reader(file, path.stat().st_size, filename, limits).run()


class _Reader:
    def __init__(self, file: BinaryIO, total: int, filename: str, limits: RawLimits) -> None:
        self._file = file
        self._total = total
        self._filename = filename
        self._limits = limits
        self._at = 0
        self._said: dict[str, str] = {}

    def _fail(self, code: str, found: str) -> NoReturn:
        raise InputProblem(code, f"{show(self._filename)}: {found}.", self._filename)

    def run(self) -> list[TarEntry]:
        entries: list[TarEntry] = []
        seen: set[str] = set()
        count = 0
        while (header := self._header()) is not None:
            count += 1
            if count > self._limits.max_entries:
                self._fail(
                    "archive_too_many_entries",
                    f"the archive has {count:,} entries or more; at most "
                    f"{self._limits.max_entries:,} are taken",
                )
            entry = self._entry(header)
            if entry is None:
                continue
            if entry.name in seen:
                self._fail("bad_archive", f"the entry {show(entry.name)} is there twice")
            seen.add(entry.name)
            entries.append(entry)
        self._check_end()
        return entries

    def _header(self) -> bytes | None:
        """Return the next header; None at the archive's end."""
        self._file.seek(self._at)
        header = self._file.read(_BLOCK)
        if not header and self._at:
            return None  # no block of zeros says that it ends: as some programs write it
        if len(header) < _BLOCK:
            self._fail("truncated_file", f"the archive is cut off within a header at {self._at:,}")
        if not header.strip(b"\0"):
            return None
        claimed = self._number(header[148:156], "checksum")
        if sum(header) - sum(header[148:156]) + 8 * 0x20 != claimed:
            self._fail("bad_archive", f"the header at byte {self._at:,} is damaged: its checksum")
        return header

    def _entry(self, header: bytes) -> TarEntry | None:
        """Return the file that a header is of; None for a folder, and for what tells of the next."""
        kind = header[156:157]
        length = self._number(header[124:136], "size")
        if kind in (b"x", b"g", b"L", b"K"):
            self._extended(kind, self._data(length))
            return None
        said, self._said = self._said, {}
        length = int(said["size"]) if said.get("size", "").isdecimal() else length
        name = said.get("path") or self._name(header)
        check_entry_name(name, self._filename)
        if kind in _LINKS_AND_DEVICES:
            self._fail("archive_unsafe_entry", f"the entry {show(name)} is a link or a device")
        if kind == _FOLDER:
            self._at += _BLOCK
            return None
        if kind not in _FILES or any(key.startswith("GNU.sparse") for key in said):
            self._fail(
                "bad_archive", f"the entry {show(name)} is of kind {show(kind)}; expected a file"
            )
        entry = TarEntry(name, length, self._at + _BLOCK)
        self._skip(length, name)
        return None if name.endswith("/") else entry

    def _skip(self, length: int, name: str) -> None:
        self._at += _BLOCK
        if self._at + length > self._total:
            self._fail(
                "truncated_file",
                f"the entry {show(name)} claims {size(length)}, and the archive ends within it",
            )
        self._at += -(-length // _BLOCK) * _BLOCK

    def _data(self, length: int) -> bytes:
        if length > _MAX_HEADER:
            self._fail("archive_too_large", f"a header claims {size(length)} for names")
        self._file.seek(self._at + _BLOCK)
        data = self._file.read(length)
        self._skip(length, "of a long name")
        return data

    def _extended(self, kind: bytes, data: bytes) -> None:
        if kind == b"L":
            self._said["path"] = self._text(data.rstrip(b"\0"))
        while kind == b"x" and data:
            length, _, _ = data.partition(b" ")
            end = int(length) if length.isdigit() and len(length) < 8 else 0
            key, equals, value = data[len(length) + 1 : end].partition(b"=")
            if not equals or end > len(data):
                self._fail("bad_archive", f"the header at byte {self._at:,} is damaged")
            self._said[self._text(key)] = self._text(value.removesuffix(b"\n"))
            data = data[end:]

    def _name(self, header: bytes) -> str:
        name = header[:100].partition(b"\0")[0]
        prefix = header[345:500].partition(b"\0")[0]
        posix = header[257:263] == b"ustar\0"  # GNU's own has times where POSIX has a prefix
        return self._text(prefix + b"/" + name if posix and prefix else name)

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            self._fail("archive_unsafe_entry", f"an entry's name is {show(data)}")

    def _number(self, field: bytes, what: str) -> int:
        """Return a number in octal digits, or in GNU's binary form."""
        if field[:1] == b"\x80":
            return int.from_bytes(field[1:])
        digits = field.strip(b" \0")
        if digits.strip(b"01234567"):
            self._fail(
                "bad_archive", f"the header at byte {self._at:,} has the {what} {show(digits)}"
            )
        return int(digits or b"0", 8)

    def _check_end(self) -> None:
        """Refuse what follows the end, such as a second archive: it would be left out in silence."""
        self._file.seek(self._at)
        while block := self._file.read(MiB):
            if block.strip(b"\0"):
                self._fail("bad_archive", "bytes follow the end of the archive")
