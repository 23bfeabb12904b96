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
    """Numbers the distinct values of one column.

    Args:
        role: what the column is in the request, e.g. ``labels``; part of sentences.
        missing: the problem's code for a row without a value.
        declared: names in order, when the file gives them; otherwise values name themselves.
    """

    def __init__(
        self, role: str, missing: str, limits: Limits, declared: Sequence[str] | None = None
    ) -> None:
        self._role = role
        self._missing = missing
        self._limits = limits
        self._declared = declared
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
            present = [value for value in values if value is not None and not _is_gap(value)]
            if len(present) < len(values):
                odd = [first + row for row, value in enumerate(values) if _is_gap(value)]
                gaps += odd[: SHOWN_ROWS - len(gaps)]
                missing += len(odd)
            elif not missing:
                self._check_kind(column, param)
                blocks.append(self._numbers(present, first, column, param))
            first += len(values)
        if missing:
            raise InputProblem(
                self._missing,
                f"{column.where} has no value in {row_listing(gaps, missing)} ({FROM_0}); "
                f"expected {self._role} in every row.",
                param,
            )
        return np.concatenate(blocks) if blocks else np.empty(0, np.int64)

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
        return order[codes]

    def _check_kind(self, column: Column, param: str) -> None:
        if column.kind not in ("integer", "text"):
            raise InputProblem(
                "label_type",
                f"{column.where} is {column.description}; {self._role} are integers or names.",
                param,
            )
        if self._kind not in (None, column.kind):
            raise InputProblem(
                "label_type",
                f"{column.where} holds {column.kind} values, other parts {self._kind} values; "
                f"expected the same kind of {self._role} everywhere.",
                param,
            )
        if self._kind is None and self._declared is not None:
            keys = range(len(self._declared)) if column.kind == "integer" else self._declared
            self._index = {key: number for number, key in enumerate(keys)}
        self._kind = column.kind

    def _numbers(self, values: list[int | float | str], first: int, column: Column, param: str) -> Codes:  # fmt: skip
        index = self._index
        try:
            return np.fromiter((index[value] for value in values), np.int64, len(values))
        except KeyError:
            new = [value for value in dict.fromkeys(values) if value not in index]
        if self._declared is not None:
            row = first + next(i for i, value in enumerate(values) if value not in index)
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


def _is_gap(value: object) -> bool:
    """None, a NaN or an empty name: no value."""
    return value is None or value == "" or value != value  # noqa: PLR0124 - only NaN differs from itself
