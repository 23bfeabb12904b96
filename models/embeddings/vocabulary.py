"""Labels, subdomains and groups as small integers, the same in every part of a dataset."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.embeddings.column import Column
from models.embeddings.limits import Limits
from models.embeddings.wording import SHOWN_ROWS, listing, row_listing, show
from models.errors import InputProblem

Codes = npt.NDArray[np.int64]
Value = int | float | str | None
FROM_0 = "rows count from 0"


def check_text(text: str, what: str, param: str, limits: Limits) -> None:
    """Refuse text that no report, database or file name could carry.

    Raises:
        InputProblem: ``text_too_long``, ``bad_text``.
    """
    if len(text) > limits.max_text:
        raise InputProblem(
            "text_too_long",
            f"{what} holds a text of {len(text):,} characters, {show(text)}; at most "
            f"{limits.max_text} are taken.",
            param,
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise InputProblem(
            "bad_text",
            f"{what} holds {show(text)}, which has a control character or half of a surrogate pair.",
            param,
        )


class Vocabulary:
    """Numbers the distinct values of one column; -1 is no value.

    Args:
        role: what the column is in the request, e.g. ``labels``; part of sentences.
        missing: the problem's code for a row without a value.
        declared: names in order, when the file gives them; otherwise values name themselves.
        optional: rows may have no value, or -1 among integers; their number is -1. Integers may
            then be written as floats, as whole columns are where NaN stands for what is missing.
        hint: a sentence for who has rows without a value where each needs one.
    """

    def __init__(
        self,
        role: str,
        missing: str,
        limits: Limits,
        declared: Sequence[str] | None = None,
        *,
        optional: bool = False,
        hint: str = "",
    ) -> None:
        self._role = role
        self._missing = missing
        self._limits = limits
        self._declared = declared
        self._optional = optional
        self._hint = hint
        self._kind: str | None = None
        self._index: dict[Any, int] = {}

    def encode(self, column: Column, param: str) -> Codes:
        """Return the number of each row's value, numbered by first sight or as declared.

        Raises:
            InputProblem: the missing code, ``label_type``, ``label_out_of_range``,
                ``too_many_values``; each with its rows.
        """
        blocks: list[Codes] = []
        gaps: list[int] = []
        first, missing = 0, 0
        for values in column.values():
            present = [value for value in values if not self._is_gap(value)]
            if len(present) < len(values) and not self._optional:
                odd = [first + row for row, value in enumerate(values) if self._is_gap(value)]
                gaps += odd[: SHOWN_ROWS - len(gaps)]
                missing += len(odd)
            elif not missing:
                blocks.append(self._block(values, present, first, column, param))
            first += len(values)
        if missing:
            raise InputProblem(
                self._missing,
                f"{column.where} has no value in {row_listing(gaps, missing)} ({FROM_0}); "
                f"expected {self._role} in every row.{self._hint}",
                param,
            )
        return np.concatenate(blocks) if blocks else np.empty(0, np.int64)

    def _block(
        self, values: Sequence[Value], present: list[Value], first: int, column: Column, param: str
    ) -> Codes:
        """Return the numbers of a block of rows, -1 where there is no value."""
        rows: Sequence[int] = range(first, first + len(values))
        codes = np.full(len(values), -1, np.int64)
        if len(present) < len(values):
            rows = [first + row for row, value in enumerate(values) if not self._is_gap(value)]
        if present:  # a column without any value has no kind that could contradict another's
            whole = self._whole(present, rows, column, param)
            self._check_kind(column, param)
            codes[np.asarray(rows) - first] = self._numbers(whole, rows, column, param)
        return codes

    def _is_gap(self, value: object) -> bool:
        """None, a NaN or an empty name: no value. So is -1 where rows may go without."""
        missing = value is None or value == "" or value != value  # noqa: PLR0124 - only NaN differs from itself
        return missing or (self._optional and value == -1)

    def _whole(
        self, values: list[Value], rows: Sequence[int], column: Column, param: str
    ) -> list[Value]:
        """Return floats as the integers that they stand for, where rows may go without a value."""
        if not self._optional or column.kind != "real":
            return values
        for row, value in zip(rows, values, strict=True):
            if not float(value or 0).is_integer():
                raise InputProblem(
                    "label_type",
                    f"{column.where} has {value} in row {row} ({FROM_0}); {self._role} are "
                    "integers or names.",
                    param,
                )
        return [int(value or 0) for value in values]

    def names(self) -> list[str]:
        """Return the names by final number: as declared, else sorted (numbers by value)."""
        if self._declared is not None:
            return list(self._declared)
        return [str(value) for value in sorted(self._index)]

    def final(self, codes: Codes) -> Codes:
        """Return codes numbered in the order of ``names``."""
        if self._declared is not None:
            return codes
        order = np.empty(len(self._index), np.int64)
        for number, value in enumerate(sorted(self._index)):
            order[self._index[value]] = number
        known = codes >= 0
        final = np.full_like(codes, -1)
        final[known] = order[codes[known]]
        return final

    def _check_kind(self, column: Column, param: str) -> None:
        kind = "integer" if self._optional and column.kind == "real" else column.kind
        if kind not in ("integer", "text"):
            raise InputProblem(
                "label_type",
                f"{column.where} is {column.description}; {self._role} are integers or names.",
                param,
            )
        if self._kind not in (None, kind):
            raise InputProblem(
                "label_type",
                f"{column.where} holds {kind} values, other parts {self._kind} values; "
                f"expected the same kind of {self._role} everywhere.",
                param,
            )
        if self._kind is None and self._declared is not None:
            keys = range(len(self._declared)) if kind == "integer" else self._declared
            self._index = {key: number for number, key in enumerate(keys)}
        self._kind = kind

    def _numbers(
        self, values: list[Value], rows: Sequence[int], column: Column, param: str
    ) -> Codes:
        index = self._index
        try:
            return np.fromiter((index[value] for value in values), np.int64, len(values))
        except KeyError:
            new = [value for value in dict.fromkeys(values) if value not in index]
        if self._declared is not None:
            row = rows[next(i for i, value in enumerate(values) if value not in index)]
            raise InputProblem(
                "label_out_of_range",
                f"{column.where} has {show(new[0]) if isinstance(new[0], str) else new[0]} in row "
                f"{row} ({FROM_0}), which is none of the {self._expected()}.",
                param,
            )
        for value in new:
            if isinstance(value, str):
                check_text(value, column.where, param, self._limits)
            index[value] = len(index)
        if len(index) > self._limits.max_names and self._role != "groups":
            raise InputProblem(
                "too_many_values",
                f"{column.where} has more than {self._limits.max_names:,} distinct {self._role}. "
                "Is it another column, an id perhaps?",
                param,
            )
        return np.fromiter((index[value] for value in values), np.int64, len(values))

    def _expected(self) -> str:
        names = self._declared or ()
        if self._kind == "integer":
            return f"{len(names)} classes, numbered 0 to {len(names) - 1}"
        return f"{len(names)} classes {listing(names)}"
