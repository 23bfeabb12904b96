"""The columns that say of each row which split it is in, and what its owner calls it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from models.embeddings.digests import Digests
from models.embeddings.limits import Limits
from models.embeddings.parts import SPLITS, TEST, TRAIN, UNASSIGNED, VAL, Labelled, locate
from models.embeddings.vocabulary import FROM_0, check_text
from models.embeddings.wording import show
from models.errors import InputProblem

_WORDS = {**SPLITS, "validation": VAL, "": UNASSIGNED}
_NUMBERS = {TRAIN, VAL, TEST, UNASSIGNED}


def read_splits(part: Labelled) -> npt.NDArray[np.int8]:
    """Return each row's split; a row that names none is left for the service to assign.

    Raises:
        InputProblem: ``unknown_split`` with the row.
    """
    if part.splits is None:
        return np.full(part.rows, part.split, np.int8)
    codes: list[int] = []
    for values in part.splits.values():
        for value in values:
            code = UNASSIGNED if value is None else _split(value)
            if code is None:
                raise InputProblem(
                    "unknown_split",
                    f"{part.splits.where} has {show(value)} in row {len(codes)} ({FROM_0}); expected "
                    "'train', 'val' or 'test' (0, 1, 2), or nothing for rows to be assigned.",
                    "columns.split",
                )
            codes.append(code)
    return np.array(codes, np.int8)


def _split(value: float | str) -> int | None:
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    return int(value) if value in _NUMBERS else None


def write_ids(blocks: Iterable[Sequence[str]], path: Path) -> None:
    """Write identifiers to Parquet, column ``id``."""
    schema = pa.schema([pa.field("id", pa.string(), nullable=False)])
    with pq.ParquetWriter(path, schema) as writer:
        for texts in blocks:
            writer.write_table(pa.table({"id": texts}, schema=schema))


def read_ids(parts: Sequence[Labelled], limits: Limits) -> Iterator[list[str]]:
    """Yield the callers' identifiers in blocks; that they are distinct is known with the last one.

    Raises:
        InputProblem: ``id_missing``, ``duplicate_id`` with both rows, ``text_too_long``, ``bad_text``.
    """
    digests = Digests()
    for part in parts:
        assert part.id is not None
        before = len(digests)
        for values in part.id.values():
            first = len(digests) - before
            texts = [_identifier(part, first + i, v, limits) for i, v in enumerate(values)]
            digests.extend([text.encode() for text in texts])
            yield texts
    twins = digests.first_repeat()
    if twins is not None:
        first_place, second_place = (_place(row, parts) for row in twins)
        raise InputProblem(
            "duplicate_id", f"{first_place} and {second_place} have the same id ({FROM_0}); expected each once.",
            "columns.id",
        )  # fmt: skip


def _identifier(part: Labelled, row: int, value: float | str | None, limits: Limits) -> str:
    assert part.id is not None
    if value is None or value == "" or isinstance(value, float):
        found = "no id" if not isinstance(value, float) else f"{value} as its id"
        raise InputProblem(
            "id_missing",
            f"{part.id.where} has {found} in row {row} ({FROM_0}); expected text or an integer.",
            "columns.id",
        )
    text = str(value)
    check_text(text, f"{part.id.where}, row {row},", "columns.id", limits)
    return text


def _place(row: int, parts: Sequence[Labelled]) -> str:
    part, number = locate(parts, row)
    assert part.id is not None
    return f"row {number} of {part.id.where}"
