"""An uploaded linear head: weights and biases out of one npz."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.embeddings.array_files import Upload, open_npz
from models.embeddings.column import Source, VectorColumn
from models.embeddings.limits import Limits
from models.embeddings.signatures import check_signature
from models.embeddings.wording import listing, show
from models.errors import InputProblem

Array = npt.NDArray[np.float32]


class LinearHead(NamedTuple):
    """A head in the order of the classes that it was read for.

    Attributes:
        weight: classes × dim.
        bias: one number a class.
    """

    weight: Array
    bias: Array


def read_head(
    upload: Upload,
    *,
    weight: str,
    bias: str,
    classes: Sequence[str],
    dim: int,
    param: str,
    limits: Limits,
    scratch: Path,
) -> LinearHead:
    """Return a linear head on embeddings, its rows in the order of ``classes``.

    Args:
        upload: an npz. Where it has an array `classes`, its rows are in that order and may be of
            more classes; otherwise they are taken to be in the order of ``classes``.
        weight: name of the array rows × ``dim``.
        bias: name of the array of one number a row.
        classes: the dataset's.
        dim: values of one of its embeddings.
        param: the field of the spec that the head belongs to.
        limits: what the file may claim.
        scratch: a folder for the copy that a column-major array needs.

    Raises:
        InputProblem: ``column_missing``, ``head_mismatch`` with the shape that was found and the
            one that was expected, ``non_finite_values``, and whatever is wrong with the file.
    """
    check_signature(upload.path, upload.filename, "npz")
    source = open_npz([upload], limits, scratch)
    columns = {
        field: _column(source, name, f"{param}.{field}")
        for field, name in (("weight", weight), ("bias", bias))
    }
    names = source.class_names("classes")
    order = _order(names, classes, source.where, param) if names is not None else None
    rows = len(classes) if names is None else len(names)
    head = LinearHead(
        _weight(columns["weight"], rows, dim, param), _bias(columns["bias"], rows, param)
    )
    for column, array in zip(columns.values(), head, strict=True):
        if not np.isfinite(array).all():
            raise InputProblem(
                "non_finite_values",
                f"{column.where} has values that are not finite numbers in float32.",
                column.name,
            )
    return head if order is None else LinearHead(head.weight[order], head.bias[order])


def _column(source: Source, name: str, param: str) -> VectorColumn:
    column = source.column(name)
    if column is None:
        raise InputProblem(
            "column_missing",
            f"{source.where} has no {show(name)}, which `{param}` asks for; found "
            f"{listing(source.names())}.",
            param,
        )
    return column


def _order(names: Sequence[str], classes: Sequence[str], where: str, param: str) -> list[int]:
    """Return the row of each of the dataset's classes."""
    row = {name: number for number, name in enumerate(names)}
    missing = [name for name in classes if name not in row]
    if missing or len(row) < len(names):
        wrong = f"no row for {listing(missing)}" if missing else "a class more than once"
        raise InputProblem(
            "head_mismatch", f"The `classes` of {where} have {wrong}; expected each of the dataset's once.", param
        )  # fmt: skip
    return [row[name] for name in classes]


def _weight(column: VectorColumn, rows: int, dim: int, param: str) -> Array:
    with np.errstate(over="ignore"):  # what overflows float32 is told by the caller
        blocks = [block.astype(np.float32) for block in column.vectors()]
    found = np.concatenate(blocks) if blocks else np.empty((0, 0), np.float32)
    if found.shape != (rows, dim):
        turned = " Is it transposed?" if found.shape == (dim, rows) else ""
        raise InputProblem(
            "head_mismatch",
            f"{column.where} is {found.shape[0]:,} × {found.shape[1]:,}; expected {rows:,} classes × "
            f"{dim:,} values of an embedding.{turned}",
            param,
        )
    return found


def _bias(column: VectorColumn, rows: int, param: str) -> Array:
    if column.kind not in ("real", "integer") or column.rows != rows:
        raise InputProblem(
            "head_mismatch",
            f"{column.where} is {column.description}; expected {rows:,} numbers, one a class.",
            param,
        )
    values = [value for block in column.values() for value in block]
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float64).astype(np.float32)
