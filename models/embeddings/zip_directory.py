"""The central directory of a zip archive, checked before one byte is decompressed.

Read here, not by `zipfile`: some of its versions accept entries that overlap, and it builds an
object for each of a million entries before it can be asked how many there are.
Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16.
"""

import stat
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from models.embeddings.entry_names import check_entry_name
from models.embeddings.limits import Limits
from models.embeddings.wording import show, size
from models.errors import InputProblem

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LENGTHS = struct.Struct("<3H")  # of name, extra field and comment
STORED, DEFLATED = 0, 8


class Entry(NamedTuple):
    """One file of the archive; ``offset`` is that of its data, sizes are in bytes."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    offset: int


class _Listed(NamedTuple):
    """An entry as the directory lists it; ``header`` is the offset of its local header."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    header: int


def read_directory(path: Path, filename: str, limits: Limits) -> list[Entry]:
    """Return the entries of a zip archive that hold data, none of which has been opened.

    Raises:
        InputProblem: ``archive_too_many_entries``, ``archive_too_large``, ``archive_unsafe_entry``,
            ``unsafe_pickle``, ``bad_archive``, ``truncated_file``.
    """
    reader = _Reader(path.stat().st_size, filename, limits)
    with path.open("rb") as file:
        start, length = reader.find_directory(file)
        file.seek(start)
        listed = reader.parse(file.read(length))
        entries = reader.locate(file, listed, start)
    return [entry for entry in entries if not entry.name.endswith("/")]


class _Reader:
    def __init__(self, total: int, filename: str, limits: Limits) -> None:
        self.total = total
        self.filename = filename
        self.limits = limits

    def fail(self, code: str, found: str) -> NoReturn:
        raise InputProblem(code, f"{show(self.filename)}: {found}.", self.filename)

    def find_directory(self, file: BinaryIO) -> tuple[int, int]:
        """Return offset and length of the central directory."""
        tail_start = max(0, self.total - _END.size - 0xFFFF)
        file.seek(tail_start)
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            self.fail("truncated_file", "the archive has no end: its directory is missing")
        _, disk, first_disk, _, count, length, start, comment = _END.unpack_from(tail, at)
        end = tail_start + at
        if len(tail) - at - _END.size != comment:
            self.fail("bad_archive", "bytes follow the end of the archive")
        if 0xFFFF in (count, disk, first_disk) or 0xFFFFFFFF in (length, start):
            file.seek(max(0, end - _END64_LOCATOR.size))
            locator = file.read(_END64_LOCATOR.size)
            if locator.startswith(b"PK\x06\x07"):
                end = _END64_LOCATOR.unpack(locator)[2]
                if end + _END64.size > self.total:
                    self.fail("bad_archive", "its zip64 directory lies outside the file")
                file.seek(end)
                record = _END64.unpack(file.read(_END64.size))
                if record[0] != b"PK\x06\x06":
                    self.fail("bad_archive", "its zip64 directory is not where it should be")
                disk, first_disk, _, count, length, start = record[4:]
        if disk or first_disk:
            self.fail("bad_archive", "it is one part of an archive in several")
        if count > self.limits.max_entries or length > self.limits.max_directory:
            self.too_many(count)
        if start + length != end:
            self.fail("bad_archive", "its directory does not end where the archive says")
        return start, length

    def too_many(self, count: int) -> NoReturn:
        self.fail(
            "archive_too_many_entries",
            f"the archive has {count:,} entries or more; at most {self.limits.max_entries:,} are taken",
        )

    def parse(self, data: bytes) -> list[_Listed]:
        """Return what the directory lists; its own count is not believed, its bytes are."""
        self._count(data)  # before an object is made of any
        listed: list[_Listed] = []
        at = 0
        while at < len(data):
            (_, _, _, flags, method, _, _, crc, packed, full, name, extra, comment, _, _, mode,
             header) = _CENTRAL.unpack_from(data, at)  # fmt: skip
            at += _CENTRAL.size
            raw_name = data[at : at + name]
            wide = self._zip64(data[at + name : at + name + extra], (full, packed, header))
            listed.append(
                _Listed(raw_name, flags, method, crc, wide[1], wide[0], mode >> 16, wide[2])
            )
            at += name + extra + comment
        return listed

    def _count(self, data: bytes) -> None:
        """Refuse a directory of too many entries, or whose entries do not fill it."""
        count, at = 0, 0
        while at < len(data):
            if count >= self.limits.max_entries:
                self.too_many(count + 1)
            if len(data) - at < _CENTRAL.size or data[at : at + 4] != b"PK\x01\x02":
                self.fail("bad_archive", f"entry {count} of its directory is damaged")
            at += _CENTRAL.size + sum(_LENGTHS.unpack_from(data, at + 28))
            if at > len(data):
                self.fail("bad_archive", f"entry {count} of its directory is cut off")
            count += 1

    def _zip64(self, extra: bytes, narrow: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return size, packed size and offset, from the zip64 field where 32 bits did not do."""
        values = list(narrow)
        missing = [index for index, value in enumerate(values) if value == 0xFFFFFFFF]
        while missing and len(extra) >= 4:
            tag, length = struct.unpack_from("<2H", extra)
            if tag == 1 and length >= 8 * len(missing) and len(extra) >= 4 + length:
                for index, value in zip(
                    missing, struct.unpack_from(f"<{len(missing)}Q", extra, 4), strict=True
                ):
                    values[index] = value
                break
            extra = extra[4 + length :]
        return values[0], values[1], values[2]

    def locate(self, file: BinaryIO, listed: list[_Listed], directory: int) -> list[Entry]:
        """Return entries with the place of their data, after every check on every one of them."""
        entries: list[Entry] = []
        previous_end = 0
        for item in sorted(listed, key=lambda item: item.header):
            name = self._safe_name(item)
            if item.header < previous_end:
                self.fail("archive_too_large", f"entry {show(name)} overlaps the one before it")
            file.seek(item.header)
            local = file.read(_LOCAL.size)
            if item.header + _LOCAL.size > directory or not local.startswith(b"PK\x03\x04"):
                self.fail("bad_archive", f"entry {show(name)} is not where the directory says")
            name_bytes, extra_bytes = _LOCAL.unpack(local)[9:]
            if file.read(name_bytes) != item.raw_name:
                self.fail("bad_archive", f"entry {show(name)} has another name in the directory")
            offset = item.header + _LOCAL.size + name_bytes + extra_bytes
            previous_end = offset + item.packed
            if previous_end > directory:
                self.fail("archive_too_large", f"entry {show(name)} overlaps the directory")
            self._check_sizes(name, item)
            entries.append(Entry(name, item.method, item.crc, item.packed, item.size, offset))
        self._check_all(entries)
        return entries

    def _safe_name(self, item: _Listed) -> str:
        try:
            name = item.raw_name.decode("utf-8" if item.flags & 0x800 else "cp437")
        except UnicodeDecodeError:
            self.fail("archive_unsafe_entry", f"an entry's name is {show(item.raw_name)}")
        check_entry_name(name, self.filename)
        kind = stat.S_IFMT(item.mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            self.fail("archive_unsafe_entry", f"the entry {show(name)} is a link or a device")
        return name

    def _check_sizes(self, name: str, item: _Listed) -> None:
        if item.flags & 0x41:
            self.fail("bad_archive", f"the entry {show(name)} is encrypted; expected none that is")
        if item.method not in (STORED, DEFLATED):
            self.fail(
                "bad_archive",
                f"the entry {show(name)} is compressed by method {item.method}; expected stored (0) "
                "or deflated (8)",
            )
        if item.method == STORED and item.packed != item.size:
            self.fail("bad_archive", f"the stored entry {show(name)} claims two sizes")
        if item.size > self.limits.max_array_bytes or self.limits.is_bomb(item.size, item.packed):
            self.fail(
                "archive_too_large",
                f"the entry {show(name)} claims {size(item.size)} from {size(item.packed)}; at most "
                f"{self.limits.max_ratio} times, and {size(self.limits.max_array_bytes)}, are taken",
            )

    def _check_all(self, entries: list[Entry]) -> None:
        seen: set[str] = set()
        for entry in entries:
            if entry.name in seen:
                self.fail("bad_archive", f"the entry {show(entry.name)} is there twice")
            seen.add(entry.name)
        total = sum(entry.size for entry in entries)
        if total > self.limits.max_array_bytes:
            self.fail(
                "archive_too_large",
                f"its entries claim {size(total)} together; at most "
                f"{size(self.limits.max_array_bytes)} are taken",
            )
