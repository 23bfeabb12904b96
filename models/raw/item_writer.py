"""items.bin, written as items stream by, and what there is to know of them afterwards."""

from array import array
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.embeddings.digests import Digests
from models.embeddings.wording import show, size
from models.errors import InputProblem
from models.raw.checking import Checked
from models.raw.facts import FactSheet
from models.raw.limits import RawLimits
from models.raw.problem import ItemProblem

LISTED = 1_000
"""Items at fault that are named; more are only counted."""


class ItemWriter:
    """Appends the items without fault to one file, and remembers the others by name.

    Attributes:
        rows: of each item written, its number over all parts' rows, in the order of items.bin.
        rejected: items at fault, by code.
        listed: the first of them, as statistics show them.
        digests: of the items written.
        facts: of the items written.
    """

    def __init__(self, path: Path, stored: int, limits: RawLimits) -> None:
        self.rows = array("q")
        self.rejected: Counter[str] = Counter()
        self.listed: list[dict[str, str]] = []
        self.digests = Digests()
        self.facts = FactSheet()
        self._ends = array("q", [0])
        self._stored = stored
        self._limits = limits
        self._file = path.open("wb", buffering=1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, checked: Checked, row: int) -> None:
        """Write an item, or note what is wrong with it.

        Raises:
            InputProblem: ``table_too_large``: more comes out of the files than is credible.
        """
        item, outcome = checked
        if isinstance(outcome, ItemProblem):
            self.rejected[outcome.code] += 1
            if len(self.listed) < LISTED:
                about = {"name": item.name, "code": outcome.code, "detail": outcome.detail}
                self.listed.append(about)
            return
        data, facts = outcome
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))
        self.rows.append(row)
        self.digests.extend([data])
        self.facts.add(facts)
        total = self._ends[-1]
        # A column's dictionary may repeat one image a million times.
        if total > self._limits.max_array_bytes or self._limits.is_bomb(total, self._stored):
            raise InputProblem(
                "table_too_large",
                f"The items up to {show(item.name)} have {size(total)}, out of {size(self._stored)}; at "
                f"most {self._limits.max_ratio} times, and {size(self._limits.max_array_bytes)}, are "
                "taken.",
                "columns.item",
            )

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each item begins in the file, and the last one ends: rows + 1."""
        return np.array(self._ends, np.int64)

    def check_share(self, most: float) -> None:
        """Refuse a dataset of which too many items are at fault, with the commonest fault's code.

        Raises:
            InputProblem: e.g. ``image_truncated``.
        """
        bad = self.rejected.total()
        every = bad + len(self.rows)
        if bad <= most * every and len(self.rows):
            return
        ((code, _),) = self.rejected.most_common(1)
        first = "; ".join(f"{show(entry['name'])} {entry['detail']}" for entry in self.listed[:3])
        more = f"; and {bad - 3:,} more" if bad > 3 else ""
        raise InputProblem(
            code,
            f"{bad:,} of {every:,} items are at fault, and at most {most:.0%} may be "
            f"(`columns.max_bad_share`): {first}{more}.",
            "columns.item",
        )

    def report(self, modality: str) -> dict[str, Any]:
        """Return what statistics say of items: their bytes and sizes, and who is not among them."""
        return {
            "bytes": self._ends[-1],
            **self.facts.summary(modality),
            "rejected": self.rejected.total(),
            "rejected_by_code": dict(sorted(self.rejected.items())),
            "rejected_items": self.listed,
        }
