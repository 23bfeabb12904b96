"""Uploaded vectors that stand for classes or subdomains: arrays of an npz, or columns of Parquet."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.embeddings.array_files import Upload, open_npz
from models.embeddings.column import Source, VectorColumn
from models.embeddings.limits import Limits
from models.embeddings.parquet import ParquetTable
from models.embeddings.signatures import one_of
from models.embeddings.table import TableSource
from models.embeddings.vocabulary import FROM_0
from models.embeddings.wording import listing, show
from models.errors import InputProblem

Vectors = npt.NDArray[np.float32]

NAME_COLUMN = "name"
"""Where a Parquet file has the names; an npz has them in `classes`, `subdomains` or `names`."""


def read_vectors(
    upload: Upload, *, arrays: Sequence[str], field: str, limits: Limits, scratch: Path
) -> tuple[list[str], Vectors]:
    """Return the names in a file, and a vector of length 1 for each of them (names × m).

    Each array is brought to length 1 row by row; several then stand side by side, divided by the
    root of their number: cosines of the result are the mean of the arrays' cosines.

    Args:
        upload: an npz or Parquet file.
        arrays: names of its arrays, or of its columns of lists.
        field: ``classes`` or ``subdomains``: what the vectors are for, and in an npz the array
            with their names; `names` stands for either.
        limits: what the file may claim.
        scratch: a folder for the copy that a column-major array needs.

    Raises:
        InputProblem: ``column_missing``, ``bad_names``, ``length_mismatch``, ``zero_vector``,
            ``non_finite_values``, and whatever is wrong with the file itself.
    """
    source = _open(upload, limits, scratch)
    names, where = _names(source, field, limits)
    parts = [_unit(_column(source, name, field), names, where) for name in arrays]
    return names, (np.concatenate(parts, axis=1) / math.sqrt(len(parts))).astype(np.float32)


def _open(upload: Upload, limits: Limits, scratch: Path) -> Source:
    if one_of(upload.path, upload.filename, ("npz", "parquet")) == "npz":
        return open_npz([upload], limits, scratch)
    return TableSource(ParquetTable(upload.path, upload.filename, limits), limits)


def _column(source: Source, name: str, field: str) -> VectorColumn:
    column = source.column(name)
    if column is None:
        raise InputProblem(
            "column_missing",
            f"{source.where} has no {show(name)}, which `{field}.array` asks for; found "
            f"{listing(source.names())}.",
            f"{field}.array",
        )
    return column


def _names(source: Source, field: str, limits: Limits) -> tuple[list[str], str]:
    """Return the names, one a row, and what the column that has them is called in a sentence."""
    keys = (NAME_COLUMN,) if isinstance(source, TableSource) else (field, "names")
    column = next((found for key in keys if (found := source.column(key)) is not None), None)
    if column is None:
        raise InputProblem(
            "column_missing",
            f"{source.where} has no {' and no '.join(map(show, keys))} with the names of its rows; "
            f"found {listing(source.names())}.",
            f"{field}.upload",
        )
    if column.kind not in ("text", "integer") or column.rows > limits.max_names:
        raise InputProblem(
            "bad_names",
            f"{column.where} is {column.description}, {column.rows:,} rows; expected at most "
            f"{limits.max_names:,} names.",
            f"{field}.upload",
        )
    values = [value for block in column.values() for value in block]
    names = ["" if value is None else str(value) for value in values]
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if "" in names or twice:
        wrong = (
            f"no name in row {names.index('')} ({FROM_0})"
            if "" in names
            else f"more than one row of {listing(twice)}"
        )
        raise InputProblem(
            "bad_names", f"{column.where} has {wrong}; expected each name once.", f"{field}.upload"
        )
    return names, column.where


def _unit(column: VectorColumn, names: Sequence[str], where: str) -> npt.NDArray[np.float64]:
    """Return the column's rows at length 1; a row without a direction is named."""
    if column.rows != len(names):
        raise InputProblem(
            "length_mismatch",
            f"{column.where} has {column.rows:,} rows, {where} has {len(names):,}; expected as many.",
            column.name,
        )
    blocks = [block.astype(np.float64) for block in column.vectors()]
    if not blocks:
        raise InputProblem("no_rows", f"{column.where} has no rows.", column.name)
    vectors = np.concatenate(blocks)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    for code, wrong, found in (
        ("non_finite_values", ~np.isfinite(largest[:, 0]), "NaN or Inf"),
        ("zero_vector", largest[:, 0] == 0, "nothing but zeros"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputProblem(
                code,
                f"{column.where} has {found} in row {row} ({FROM_0}), the vector of "
                f"{show(names[row])}; expected finite numbers that point somewhere.",
                column.name,
            )
    vectors /= largest  # first, so that squares of float64's largest values do not overflow
    result: npt.NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return result
