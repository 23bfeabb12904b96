"""What a Parquet file claims in its footer, read without the library that would act on it.

Arrow ends the process (`terminate`) on some damaged column metadata that it is merely asked about.
Source: parquet.thrift (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData) and Thrift's
"compact protocol" specification.
"""

import struct
from pathlib import Path
from typing import Any, NamedTuple

from models.embeddings.limits import MiB

_MAX_FOOTER = 64 * MiB
_MAX_DEPTH = 16
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
# Physical types by number: boolean, int32, int64, int96, float, double; byte arrays have no width.
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}
_FIXED = 7


class Leaf(NamedTuple):
    """A column of plain values over all row groups; the column it belongs to, and its claims."""

    column: str
    values: int
    decoded: int
    unpacked: int


class Footer(NamedTuple):
    """Rows, and leaves in the order of their first row group."""

    rows: int
    leaves: list[Leaf]


def read_footer(path: Path) -> Footer:
    """Return what the footer of a Parquet file claims.

    Raises:
        ValueError: in words, what is wrong with it.
    """
    total = path.stat().st_size
    with path.open("rb") as file:
        file.seek(total - 8)
        (length,) = struct.unpack("<I", file.read(4))
        if length > min(total - 12, _MAX_FOOTER):
            raise ValueError(f"its footer claims {length:,} bytes, the file has {total:,}")
        file.seek(total - 8 - length)
        data = file.read(length)
    try:
        return _footer(_Compact(data).struct(0))
    except (IndexError, KeyError, TypeError, AttributeError, struct.error):
        raise ValueError("its footer is damaged") from None


def _footer(fields: dict[int, Any]) -> Footer:
    rows = _count(fields[3])
    groups = fields[4]
    if sum(_count(group[3]) for group in groups) != rows:
        raise ValueError("its row groups have not as many rows as the file claims")
    widths = _fixed_widths(fields[2])
    leaves: dict[bytes, Leaf] = {}
    for group in groups:
        for chunk in group[1]:
            meta = chunk[3]
            parts: list[bytes] = meta[3]
            key = b"\0".join(parts)
            values, unpacked = _count(meta[5]), _count(meta[6])
            _count(meta[7])
            width = widths.get(parts[-1], 16) if meta[1] == _FIXED else _WIDTHS.get(meta[1], 16)
            before = leaves.get(key, Leaf(parts[0].decode(), 0, 0, 0))
            leaves[key] = Leaf(
                before.column, before.values + values, before.decoded + values * width,
                before.unpacked + unpacked,
            )  # fmt: skip
    return Footer(rows, list(leaves.values()))


def _fixed_widths(schema: list[dict[int, Any]]) -> dict[bytes, int]:
    """Return the widths of fixed-length values by the schema element's own name; the largest wins."""
    widths: dict[bytes, int] = {}
    for element in schema:
        if element.get(1) == _FIXED:
            widths[element[4]] = max(_count(element.get(2, 0)), widths.get(element[4], 0))
    return widths


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("its footer claims a negative size")
    return value


class _Compact:
    """Thrift's compact protocol: structs as maps of field numbers, everything else as itself."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > _MAX_DEPTH:
            raise ValueError("its footer is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            number = number + step if step else self._zigzag()
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE, _BYTE):  # booleans take a byte inside a list only
            return self._byte()
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind == _DOUBLE:
            return self._take(8)
        if kind == _BINARY:
            return self._take(self._varint())
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError("its footer holds a field of an unknown type")

    def _list(self, depth: int) -> list[Any]:
        if depth > _MAX_DEPTH:
            raise ValueError("its footer is nested too deeply")
        head = self._byte()
        count = head >> 4
        if count == 15:
            count = self._varint()
        if count > len(self._data) - self._at:  # an element takes a byte at least
            raise ValueError("a list in its footer is longer than the footer")
        return [self._value(head & 15, depth + 1) for _ in range(count)]

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _take(self, count: int) -> bytes:
        data = self._data[self._at : self._at + count]
        if len(data) < count:
            raise IndexError(count)
        self._at += count
        return data

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number in its footer is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
