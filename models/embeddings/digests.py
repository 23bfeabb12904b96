"""Which rows are the same, byte for byte: 16 bytes kept of each."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Duplicates(NamedTuple):
    """How often rows are repeated.

    Attributes:
        rows: rows beyond the first of their kind.
        across_splits: repeated embeddings that stand in more than one split.
        other_label: repeated embeddings that carry more than one label.
    """

    rows: int
    across_splits: int
    other_label: int


class Digests:
    """BLAKE2b of each row, 128 bits: a collision by chance is out of reach."""

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data) // 16

    def extend(self, rows: Iterable[bytes | memoryview]) -> None:
        for row in rows:
            self._data += hashlib.blake2b(row, digest_size=16).digest()

    def _groups(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return rows sorted so that equals stand together, and where a new kind begins."""
        pairs = np.frombuffer(self._data, np.uint64).reshape(-1, 2)
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))  # stable: equals keep their rows' order
        ordered = pairs[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        return order, new

    def first_repeat(self) -> tuple[int, int] | None:
        """Return the first row that repeats an earlier one, as (earlier, row), or None."""
        order, new = self._groups()
        repeats = np.flatnonzero(~new)
        if not repeats.size:
            return None
        at = repeats[np.argmin(order[repeats])]
        return int(order[at - 1]), int(order[at])

    def duplicates(self, y: npt.NDArray[np.int64], split: npt.NDArray[np.int8]) -> Duplicates:
        """Count the rows that repeat others, and the repeats that leak or contradict.

        Args:
            y: labels, n; one below 0 is none, and contradicts nothing.
            split: n.
        """
        order, new = self._groups()
        if not len(order):
            return Duplicates(0, 0, 0)
        starts = np.flatnonzero(new)

        def differing(low: npt.NDArray[np.integer], high: npt.NDArray[np.integer]) -> int:
            lowest = np.minimum.reduceat(low[order], starts)
            return int((lowest < np.maximum.reduceat(high[order], starts)).sum())

        known = np.where(y < 0, np.iinfo(np.int64).max, y)
        return Duplicates(int((~new).sum()), differing(split, split), differing(known, y))
