"""x.npy, written as it streams by: finite, one dim, one type."""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from models.embeddings.column import VectorColumn, Vectors
from models.embeddings.digests import Digests
from models.embeddings.limits import Limits
from models.embeddings.wording import SHOWN_ROWS, row_listing, size
from models.errors import InputProblem

_HEADER_BYTES = 128


class MatrixWriter:
    """Appends blocks of rows to a .npy whose shape is filled in at the end.

    Not a memory map: on a full disk a write says so, where a map kills the process (SIGBUS).
    """

    def __init__(self, path: Path, dtype: np.dtype[np.floating], limits: Limits) -> None:
        self.dtype = dtype
        self.dim: int | None = None
        self.rows = 0
        self.digests = Digests()
        self._first: VectorColumn | None = None
        self._limits = limits
        self._file = path.open("wb")
        self._file.write(b" " * _HEADER_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._file.seek(0, os.SEEK_SET)
                self._file.write(self._header())
        finally:
            self._file.close()

    def append(self, column: VectorColumn, on_progress: Callable[[int], None]) -> None:
        """Write all of a column's embeddings; progress is rows in all so far.

        Raises:
            InputProblem: ``non_finite_values`` with the rows, ``embedding_dim_mismatch``,
                ``table_too_large``.
        """
        found = _NonFinite(column)
        rows = 0
        for block in column.vectors():
            self._check_dim(column, block.shape[1])
            with np.errstate(over="ignore"):  # what overflows float32 is found below
                values = block.astype(self.dtype, copy=False)
            finite = np.isfinite(values)
            if not finite.all():
                found.add(rows, block, finite)
            rows += len(block)
            if not found.total:
                self._write(np.ascontiguousarray(values), column)
            on_progress(self.rows + rows)
        if found.total:
            raise found.problem()
        self.rows += rows

    def _write(self, values: Vectors, column: VectorColumn) -> None:
        data = values.view(np.uint8).reshape(-1).data
        if self._file.tell() + len(data) > self._limits.max_array_bytes + _HEADER_BYTES:
            raise InputProblem(
                "table_too_large",
                f"{column.where} goes on beyond {size(self._limits.max_array_bytes)} of embeddings.",
                column.name,
            )
        width = values.shape[1] * values.itemsize
        self.digests.extend(data[at : at + width] for at in range(0, len(data), width))
        self._file.write(data)

    def _check_dim(self, column: VectorColumn, dim: int) -> None:
        if self.dim is None:
            self.dim, self._first = dim, column
        elif dim != self.dim and self._first is not None:
            raise InputProblem(
                "embedding_dim_mismatch",
                f"{column.where} has {dim} values a row, {self._first.where} has {self.dim}; "
                "expected the same.",
                column.name,
            )

    def _header(self) -> bytes:
        text = f"{{'descr': '{self.dtype.str}', 'fortran_order': False, 'shape': ({self.rows}, {self.dim or 0}), }}"
        return b"\x93NUMPY\x01\x00v\x00" + text.ljust(_HEADER_BYTES - 11).encode() + b"\n"


class _NonFinite:
    """Collects the rows that are not finite, up to the end of the column."""

    def __init__(self, column: VectorColumn) -> None:
        self._column = column
        self._rows: list[int] = []
        self._what = ""
        self.total = 0

    def add(self, first: int, block: Vectors, finite: npt.NDArray[np.bool_]) -> None:
        bad = np.flatnonzero(~finite.all(axis=1))
        if not self.total:
            place = int(np.flatnonzero(~finite[bad[0]])[0])
            value = float(block[bad[0], place])
            shown = "NaN" if np.isnan(value) else f"{value:g}".replace("inf", "Inf")
            beyond = ", beyond float32" if np.isfinite(value) else ""
            self._what = f"{shown}{beyond} in row {first + int(bad[0])}, value {place}"
        self._rows += (first + bad[: SHOWN_ROWS - len(self._rows)]).tolist()
        self.total += len(bad)

    def problem(self) -> InputProblem:
        rows = f" In all, {row_listing(self._rows, self.total)}." if self.total > 1 else ""
        return InputProblem(
            "non_finite_values",
            f"{self._column.where} has {self._what} (both count from 0).{rows} "
            "Every value must be a finite number.",
            self._column.name,
        )
