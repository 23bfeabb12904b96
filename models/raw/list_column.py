"""A column that is held in memory: labels, splits and names, never the items themselves."""

import re
from collections.abc import Iterator, Sequence

from models.embeddings.column import Kind

Value = int | float | str | None
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


class ListColumn:
    """Values by row; see `models.embeddings.column.Column`."""

    def __init__(self, name: str, where: str, values: Sequence[Value]) -> None:
        self.name = name
        self.where = where
        self.rows = len(values)
        self._values = values
        self.kind: Kind = "integer" if isinstance(values, range) else _kind(values)
        self.description = {"other": "of mixed types", "real": "not integers"}.get(
            self.kind, self.kind
        )

    def values(self) -> Iterator[Sequence[Value]]:
        yield self._values


def from_text(values: Sequence[str | None]) -> Sequence[Value]:
    """Return text as integers where every value is one as Python writes it; '' is no value.

    Text such as '03' stays: it is a name.
    """
    if all(value is None or not value or _INTEGER.fullmatch(value) for value in values):
        return [int(value) if value else None for value in values]
    return values


def _kind(values: Sequence[Value]) -> Kind:
    types = {type(value) for value in values} - {type(None)}
    if types <= {str}:
        return "text"
    if types <= {int}:
        return "integer"
    return "real" if types <= {int, float} else "other"
