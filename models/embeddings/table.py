"""Columns of a Parquet or Arrow file: labels and names as scalars, embeddings as lists."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.embeddings.array_files import parse_names
from models.embeddings.column import Kind, Vectors
from models.embeddings.limits import KiB, Limits
from models.embeddings.wording import row_listing, show
from models.errors import InputProblem

_VALUE_ROWS = 16 * KiB


class Table(Protocol):
    """A table that can be streamed, one column at a time.

    Attributes:
        where: what it is called in a sentence.
        schema: a `pyarrow.Schema`.
        rows: as declared. Reading yields that many or raises.
    """

    where: str
    schema: Any
    rows: int

    def arrays(self, name: str, rows: int) -> Iterator[Any]:
        """Yield a column in validated `pyarrow.Array`s of at most ``rows`` rows.

        Raises:
            InputProblem: ``bad_parquet`` or ``bad_arrow``, ``table_too_large``.
        """

    def list_length(self, name: str) -> float:
        """Return how many values a list of this column has, as far as the file declares it."""


class TableSource:
    """One table with its columns by name."""

    def __init__(self, table: Table, limits: Limits) -> None:
        self.where = table.where
        self._table = table
        self._limits = limits

    def names(self) -> list[str]:
        return list(self._table.schema.names)

    def column(self, name: str) -> "TableColumn | None":
        found = self._table.schema.get_all_field_indices(name)
        if len(found) > 1:
            raise InputProblem(
                "duplicate_column", f"{self.where} has {len(found)} columns {show(name)}.", name
            )
        return TableColumn(self._table, name, self._limits) if found else None

    def class_names(self, name: str) -> list[str] | None:
        """Return the names that the schema's metadata holds as a JSON list under ``name``.

        Hugging Face's `ClassLabel` is not looked for: its integers come with their names only
        inside that library's own description of the table.
        """
        text = (self._table.schema.metadata or {}).get(name.encode())
        if text is None:
            return None
        return parse_names(text.decode(errors="replace"), name, self.where)


class TableColumn:
    """A column of a table; see `models.embeddings.column.Column`."""

    def __init__(self, table: Table, name: str, limits: Limits) -> None:
        self.name = name
        self.where = f"column {show(name)} of {table.where}"
        self.rows = table.rows
        self._table = table
        self._limits = limits
        self._type = _storage(table.schema.field(name).type)
        self.description = str(self._type)[:200]
        self.kind: Kind = _kind(self._type)

    def values(self) -> Iterator[Sequence[int | float | str | None]]:
        for array in self._table.arrays(self.name, _VALUE_ROWS):
            if self.kind == "text":
                yield _texts(array, self.name, self.where, self._limits)
            elif pa.types.is_boolean(self._type):
                yield [None if value is None else int(value) for value in array.to_pylist()]
            else:
                yield array.to_pylist()

    def dtype(self) -> np.dtype[np.floating]:
        kind = self._type
        if not is_list(kind):
            raise InputProblem(
                "embedding_dtype",
                f"{self.where} is {self.description}; expected a list of floats in each row.",
                self.name,
            )
        for width, test in (
            (np.float16, pa.types.is_float16),
            (np.float32, pa.types.is_float32),
            (np.float64, pa.types.is_float64),
        ):
            if test(kind.value_type):
                return np.dtype(width)
        raise InputProblem(
            "embedding_dtype",
            f"{self.where} is {self.description}; embeddings are lists of float16, float32 or "
            "float64. Are these token ids, or pixels? If they are embeddings, store them as float.",
            self.name,
        )

    def vectors(self) -> Iterator[Vectors]:
        native = self.dtype()
        mean = max(1.0, self._table.list_length(self.name))
        if mean > self._limits.max_dim:
            raise InputProblem(
                "embedding_dim_mismatch",
                f"{self.where} has about {mean:,.0f} values a row; at most "
                f"{self._limits.max_dim:,} are taken.",
                self.name,
            )
        rows = max(1, min(_VALUE_ROWS, int(self._limits.block_bytes // (mean * native.itemsize))))
        arrays = self._table.arrays(self.name, rows)
        dim: int | None = None
        first = 0
        for array in arrays:
            lengths = _lengths(array)
            if dim is None and len(lengths):
                dim = int(lengths[0])
            if dim is not None and (dim <= 0 or bool((lengths != dim).any())):
                raise self._ragged(dim, first, lengths, arrays)
            first += len(array)
            if dim is None:
                continue
            flat = array.flatten()
            if flat.null_count:
                row = first - len(array) + int(np.flatnonzero(flat.is_null())[0]) // dim
                raise InputProblem(
                    "non_finite_values",
                    f"{self.where} has a null inside the embedding of row {row}; every value must "
                    "be a finite number (rows count from 0).",
                    self.name,
                )
            matrix = flat.to_numpy(zero_copy_only=False).reshape(-1, dim)
            step = max(1, self._limits.block_bytes // (dim * native.itemsize))
            for start in range(0, len(matrix), step):
                yield matrix[start : start + step]

    def _ragged(
        self, dim: int, first: int, lengths: npt.NDArray[np.int64], rest: Iterator[Any]
    ) -> InputProblem:
        """Say which rows have another length than row 0, up to the end of the table."""
        if dim <= 0:
            what = "no embedding (null)" if dim < 0 else "an empty embedding"
            return InputProblem(
                "embedding_dim_mismatch",
                f"{self.where} has {what} in row 0 (rows count from 0).", self.name,
            )  # fmt: skip
        odd: list[int] = []
        length, total = 0, 0
        while True:
            wrong = np.flatnonzero(lengths != dim)
            if wrong.size and not odd:
                length = int(lengths[wrong[0]])
            odd.extend((first + wrong[: max(0, 10 - len(odd))]).tolist())
            total += len(wrong)
            first += len(lengths)
            array = next(rest, None)
            if array is None:
                break
            lengths = _lengths(array)
        every = f" In all, {row_listing(odd, total)} differ." if total > 1 else ""
        has = "no embedding (null)" if length < 0 else f"{length} values"
        return InputProblem(
            "embedding_dim_mismatch",
            f"{self.where}: row {odd[0]} has {has}, row 0 has {dim} (rows count from 0); expected "
            f"{dim} in every row.{every}",
            self.name,
        )


def _storage(kind: Any) -> Any:
    """Return the plain type below extension types, dictionaries aside."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_text(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _kind(kind: Any) -> Kind:
    types = pa.types
    if types.is_dictionary(kind):
        return "text" if _is_text(kind.value_type) else "other"
    if _is_text(kind) or types.is_null(kind):
        return "text"
    if types.is_integer(kind) or types.is_boolean(kind):
        return "integer"
    return "real" if types.is_float32(kind) or types.is_float64(kind) else "other"


def _lengths(array: Any) -> npt.NDArray[np.int64]:
    """Return each row's number of values; -1 for a null."""
    lengths = pc.list_value_length(array).cast(pa.int64()).fill_null(-1)
    return lengths.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _texts(array: Any, name: str, where: str, limits: Limits) -> list[str | None]:
    """Return strings. A dictionary may repeat one long text a million times: lengths come first."""
    if pa.types.is_null(array.type):
        return [None] * len(array)
    known = array.dictionary if pa.types.is_dictionary(array.type) else array
    if pa.types.is_string_view(known.type):
        known = known.cast(pa.large_string())
    longest = pc.max(pc.binary_length(known)).as_py() or 0
    if longest > 4 * limits.max_text:
        raise InputProblem(
            "text_too_long",
            f"{where} holds a text of {longest:,} bytes; at most {limits.max_text} characters are taken.",
            name,
        )
    return array.to_pylist()  # type: ignore[no-any-return]
