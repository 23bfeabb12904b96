"""What an uploaded file of raw data comes to: labelled rows, and their items as they stream."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from models.embeddings.column import Column
from models.embeddings.parts import TEST, TRAIN, UNASSIGNED, VAL
from models.raw.problem import ItemProblem

SPLIT_WORDS = {"train": TRAIN, "val": VAL, "validation": VAL, "test": TEST}
"""What folders and files may be called that hold the rows of one split."""


class RawItem(NamedTuple):
    """One item as it is read.

    Attributes:
        row: its row in the part's columns; items may come in another order.
        name: what its owner finds it by.
        content: bytes, text, or what is wrong with it already.
    """

    row: int
    name: str
    content: bytes | str | ItemProblem


@dataclass(frozen=True, kw_only=True)
class RawPart:
    """Rows that stand together: an archive, one of its metadata files, or a table.

    Attributes:
        where: what it is called in a sentence.
        rows: the number of its items; each is yielded once.
        y: the labels.
        id: what the rows are called.
        items: reads them, anew with every call.
        split: what its rows are where ``splits`` is None.
        declared: names for integers, by role: ``y``, ``subdomain``, ``group``.
        ignored: files of an archive that were passed over: a read-me, a licence.
    """

    where: str
    rows: int
    y: Column
    id: Column
    items: Callable[[], Iterator[RawItem]]
    split: int = UNASSIGNED
    splits: Column | None = None
    subdomain: Column | None = None
    group: Column | None = None
    declared: Mapping[str, list[str] | None] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
