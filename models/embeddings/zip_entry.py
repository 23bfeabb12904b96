"""The bytes of one entry of a zip archive, counted and checked as they stream."""

import zlib
from typing import BinaryIO

from models.embeddings.limits import KiB
from models.embeddings.wording import show, size
from models.embeddings.zip_directory import DEFLATED, Entry
from models.errors import InputProblem


class EntryStream:
    """Yields exactly the bytes that the directory declares; their CRC is checked with the last one.

    Args:
        file: the archive; whoever reads on in it meanwhile gives each stream a file of its own.
        filename: what its owner calls it.
        entry: what is read.
    """

    def __init__(self, file: BinaryIO, filename: str, entry: Entry) -> None:
        self._filename = filename
        self._entry = entry
        self._file = file
        self._file.seek(entry.offset)
        self._packed_left = entry.packed
        self._left = entry.size
        self._crc = 0
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
        self._pending = b""

    def close(self) -> None:
        self._file.close()

    def read(self, count: int, /) -> bytes:
        """Return up to ``count`` bytes, none at the end.

        Raises:
            InputProblem: ``truncated_file``, ``bad_archive``, ``archive_too_large`` when there is
                more than was declared.
        """
        count = min(count, self._left)
        if count == 0:
            return b""
        data = self._take(count)
        if not data:
            raise self._problem(
                "truncated_file",
                f"ends after {size(self._entry.size - self._left)} of {size(self._entry.size)}",
            )
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._left == 0:
            self._check_end()
        return data

    def _take(self, count: int) -> bytes:
        if self._inflate is None:
            return self._packed(count)
        while not self._inflate.eof:
            self._pending = self._pending or self._packed(64 * KiB)
            fed = len(self._pending)
            try:
                data = self._inflate.decompress(self._pending, count)
            except zlib.error as error:
                raise self._problem("bad_archive", f"cannot be decompressed ({error})") from None
            self._pending = self._inflate.unconsumed_tail
            if data or fed == 0:
                return data
        return b""

    def _packed(self, count: int) -> bytes:
        data = self._file.read(min(count, self._packed_left))
        self._packed_left -= len(data)
        return data

    def _check_end(self) -> None:
        if self._inflate is not None and self._take(1):
            raise self._problem(
                "archive_too_large", f"is longer than the {size(self._entry.size)} it claims"
            )
        if self._crc != self._entry.crc:
            raise self._problem("bad_archive", "is damaged: its checksum does not fit its bytes")

    def _problem(self, code: str, found: str) -> InputProblem:
        name = self._entry.name
        return InputProblem(code, f"Entry {show(name)} of {show(self._filename)} {found}.", name)
