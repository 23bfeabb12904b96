"""A zip written entry by entry, whose directory waits on disk: millions of entries cost no memory.

Python's own writer keeps an object for every entry until the end. Entries are stored, not deflated (PNG
is compressed already), and carry one fixed time, so that equal contents are equal bytes.
Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.3.16.
"""

import shutil
import struct
import zlib
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

_DOS_TIME, _DOS_DATE = 0, 33
"""Midnight of 1 January 1980, the first that the format knows."""

_UTF_8 = 1 << 11
_MADE_ON_UNIX, _VERSION, _VERSION_64 = 3 << 8, 20, 45
_READABLE = 0o100644 << 16
_MOST_16, _MOST_32 = 0xFFFF, 0xFFFFFFFF
_COPIED_BYTES = 1 << 20


class StoredZip:
    """Writes a zip; the file is whole once the context ends without an error.

    The caller gives distinct names; nobody remembers them here.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._directory = TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by __exit__
        self._entries = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()
            self._directory.close()

    def add(self, name: str, content: bytes) -> None:
        """Add an entry."""
        self._begin(name, zlib.crc32(content), len(content))
        self._file.write(content)

    def add_file(self, name: str, path: Path) -> None:
        """Add an entry of a file's content, which need not fit into memory."""
        check, size = 0, 0
        with path.open("rb") as source:
            while block := source.read(_COPIED_BYTES):
                check, size = zlib.crc32(block, check), size + len(block)
            self._begin(name, check, size)
            source.seek(0)
            shutil.copyfileobj(source, self._file, _COPIED_BYTES)

    def _begin(self, name: str, check: int, size: int) -> None:
        """Write an entry's local header, and its record in the directory."""
        offset, encoded = self._file.tell(), name.encode()
        large = size >= _MOST_32
        sizes = struct.pack("<QQ", size, size) if large else b""
        local = struct.pack("<HH", 1, len(sizes)) + sizes if large else b""
        version = _VERSION_64 if large or offset >= _MOST_32 else _VERSION
        shown = _MOST_32 if large else size
        common = struct.pack(
            "<HHHHHIIIH",
            version,
            _UTF_8,
            0,
            _DOS_TIME,
            _DOS_DATE,
            check,
            shown,
            shown,
            len(encoded),
        )
        self._file.write(b"PK\x03\x04" + common + struct.pack("<H", len(local)) + encoded + local)
        wide = sizes + (struct.pack("<Q", offset) if offset >= _MOST_32 else b"")
        extra = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
        rest = struct.pack(
            "<HHHHII", len(extra), 0, 0, 0, _READABLE, min(offset, _MOST_32)
        )  # extra, comment, disk, internal and external attributes, offset
        made_by = struct.pack("<H", _MADE_ON_UNIX | version)
        self._directory.write(b"PK\x01\x02" + made_by + common + rest + encoded + extra)
        self._entries += 1

    def _finish(self) -> None:
        start, size = self._file.tell(), self._directory.tell()
        self._directory.seek(0)
        shutil.copyfileobj(self._directory, self._file, _COPIED_BYTES)
        n = self._entries
        if n >= _MOST_16 or start >= _MOST_32 or size >= _MOST_32:
            end = self._file.tell()
            made = _MADE_ON_UNIX | _VERSION_64
            self._file.write(
                b"PK\x06\x06"
                + struct.pack("<QHHIIQQQQ", 44, made, _VERSION_64, 0, 0, n, n, size, start)
                + b"PK\x06\x07"
                + struct.pack("<IQI", 0, end, 1)
            )
        shown, where = min(n, _MOST_16), min(start, _MOST_32)
        last = struct.pack("<HHHHIIH", 0, 0, shown, shown, min(size, _MOST_32), where, 0)
        self._file.write(b"PK\x05\x06" + last)
