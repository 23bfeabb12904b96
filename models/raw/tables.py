"""Rows with an item and its labels: Parquet, JSONL or CSV, alone or within an archive."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from models.embeddings.column import Column
from models.embeddings.parquet import ParquetTable
from models.embeddings.table import TableSource
from models.embeddings.wording import listing, show
from models.errors import InputProblem
from models.raw.limits import RawLimits
from models.raw.problem import ItemProblem
from models.raw.records import RecordTable

_MOST_ROWS = 16
"""Rows at a time: a column's dictionary may have one large value stand for every row."""

_MISSING = ItemProblem("item_missing", "has nothing in it (null)")


class RawTable(Protocol):
    """A table that can be read any number of times.

    Attributes:
        where: what it is called in a sentence.
        rows: as declared, or as counted.
        names: its columns.
    """

    where: str
    rows: int
    names: list[str]

    def column(self, name: str) -> Column | None:
        """Return a column of plain values, or None where there is none of that name."""

    def declared(self, name: str) -> list[str] | None:
        """Return the names that the file declares for a column's integers, if it does."""

    def items(self, name: str) -> Iterator[Any]:
        """Yield the items of a column: text, bytes, None, or an `ItemProblem`."""


def open_table(
    path: Path, filename: str, kind: str, wanted: Sequence[str], limits: RawLimits
) -> RawTable:
    """Return the table of a file; of CSV and JSONL only the ``wanted`` columns can be asked for."""
    if kind == "parquet":
        return ParquetRows(path, filename, limits)
    return RecordTable(path, filename, kind, wanted, limits)


def required(table: RawTable, field: str, name: str) -> Column:
    """Return a column that ``columns.field`` names.

    Raises:
        InputProblem: ``column_missing`` with what was found instead.
    """
    column = table.column(name)
    if column is None:
        raise column_missing(table, field, name)
    return column


def column_missing(table: RawTable, field: str, name: str) -> InputProblem:
    """Return the problem of a column that is not there."""
    return InputProblem(
        "column_missing",
        f"{table.where} has no {show(name)}, which `columns.{field}` asks for; found "
        f"{listing(table.names)}.",
        f"columns.{field}",
    )


class ParquetRows:
    """A Parquet file, with the class names that Hugging Face's `datasets` writes into its schema."""

    def __init__(self, path: Path, filename: str, limits: RawLimits) -> None:
        self._table = ParquetTable(path, filename, limits)
        self._source = TableSource(self._table, limits)
        self._limits = limits
        self._filename = filename
        self.where = self._table.where
        self.rows = self._table.rows
        self.names = self._source.names()

    def column(self, name: str) -> Column | None:
        return self._source.column(name)

    def declared(self, name: str) -> list[str] | None:
        """Return the names of a `ClassLabel`; None for any other column."""
        text = (self._table.schema.metadata or {}).get(b"huggingface")
        try:
            feature = json.loads(text or b"{}")["info"]["features"][name]
            names = feature["names"]
        except (ValueError, RecursionError, KeyError, TypeError, IndexError):
            return None
        good = isinstance(names, list) and all(isinstance(item, str) for item in names)
        return names if good else None

    def items(self, name: str) -> Iterator[Any]:
        kind = self._table.schema.field(name).type
        if not (_holds_bytes(kind) or _is_text(kind)):
            raise InputProblem(
                "item_type",
                f"column {show(name)} of {self.where} is {show(kind)}; expected bytes, a struct of "
                "`bytes` and `path`, or text.",
                "columns.item",
            )
        rows = self._table.rows_within(name, self._limits.block_bytes)
        for array in self._table.arrays(name, min(rows, _MOST_ROWS), distinct=True):
            yield from _texts(array) if _is_text(kind) else self._bytes(array)

    def _bytes(self, array: Any) -> Iterator[bytes | ItemProblem]:
        """Yield each row's bytes; one too long is never made an object of."""
        data, paths = array, None
        if pa.types.is_struct(array.type):
            data = array.field("bytes")
            paths = array.field("path") if array.type.get_field_index("path") >= 0 else None
        for row in range(len(array)):
            value = data[row]
            if not array[row].is_valid or not value.is_valid:
                outside = paths is not None and array[row].is_valid and paths[row].is_valid
                yield (
                    ItemProblem("item_missing", "names a file and has no bytes: embed the files")
                    if outside
                    else _MISSING
                )
            else:
                yield value.as_py()


def _texts(array: Any) -> Iterator[str | None]:
    if not pa.types.is_dictionary(array.type):
        yield from array.to_pylist()
        return
    known = array.dictionary.to_pylist()  # one object for each distinct text, whatever repeats it
    for index in array.indices.to_pylist():
        yield None if index is None else known[index]


def _is_text(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _holds_bytes(kind: Any) -> bool:
    types = pa.types
    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))
