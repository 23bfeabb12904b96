"""What one Arrow IPC message unpacks to, read from its header before Arrow takes the memory.

A compressed buffer begins with its unpacked length, which Arrow allocates as it stands there.
Source: Arrow's Message.fbs, and "Columnar format", sections on IPC and on compression.
"""

import struct
from typing import Any, NamedTuple

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_NOT_COMPRESSED = -1


class Claim(NamedTuple):
    """What a message says it holds: rows of a record batch, bytes once decompressed."""

    rows: int
    unpacked: int


def claims(metadata: Any, body: Any) -> Claim:
    """Return what a message claims; zeros for one that is no batch of any kind.

    Args:
        metadata: buffer of the message's flatbuffer.
        body: buffer that follows it, or None.

    Raises:
        ValueError: the flatbuffer points outside itself, or claims a negative length.
    """
    try:
        message = _Table.root(bytes(metadata))
        kind, header = message.scalar(1, "<B"), message.table(2)
        if kind not in (_RECORD_BATCH, _DICTIONARY_BATCH) or header is None:
            return Claim(0, 0)
        if kind == _RECORD_BATCH:
            return Claim(header.scalar(0, "<q"), _unpacked(header, memoryview(body or b"")))
        batch = header.table(1)
        return Claim(0, _unpacked(batch, memoryview(body or b"")) if batch else 0)
    except (struct.error, IndexError, OverflowError):
        raise ValueError("a message's header points outside itself") from None


def _unpacked(batch: "_Table", body: memoryview) -> int:
    if batch.table(3) is None:  # no BodyCompression: what is mapped is what there is
        return len(body)
    total = 0
    for start, length in batch.structs(2, "<qq"):
        if length >= 8 and 0 <= start <= len(body) - 8:
            (claimed,) = struct.unpack_from("<q", body, start)
            if claimed < _NOT_COMPRESSED:
                raise ValueError("a buffer claims a negative length")
            total += length if claimed == _NOT_COMPRESSED else claimed
    return total


class _Table:
    """A table of a flatbuffer: just as much of the format as three fields need."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - self._read("<i", at)
        self._vtable_bytes = self._read("<H", self._vtable)

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        (at,) = struct.unpack_from("<I", data, 0)
        return cls(data, at)

    def _read(self, form: str, at: int) -> int:
        if at < 0:
            raise IndexError(at)
        return int(struct.unpack_from(form, self._data, at)[0])

    def _field(self, number: int) -> int | None:
        slot = 4 + 2 * number
        if slot + 2 > self._vtable_bytes:
            return None
        offset = self._read("<H", self._vtable + slot)
        return self._at + offset if offset else None

    def scalar(self, number: int, form: str) -> int:
        at = self._field(number)
        return 0 if at is None else self._read(form, at)

    def table(self, number: int) -> "_Table | None":
        at = self._field(number)
        return None if at is None else _Table(self._data, at + self._read("<I", at))

    def structs(self, number: int, form: str) -> list[tuple[int, ...]]:
        at = self._field(number)
        if at is None:
            return []
        at += self._read("<I", at)
        count = self._read("<I", at)
        width = struct.calcsize(form)
        if at + 4 + count * width > len(self._data):
            raise IndexError(count)
        return [struct.unpack_from(form, self._data, at + 4 + i * width) for i in range(count)]
