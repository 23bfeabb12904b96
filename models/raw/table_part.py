"""Items that stand in a table's own column."""

from collections.abc import Iterator

from models.embeddings.array_files import Upload
from models.raw.limits import RawLimits
from models.raw.list_column import ListColumn
from models.raw.parts import RawItem, RawPart
from models.raw.problem import ItemProblem
from models.raw.spec import Modality, RawColumns
from models.raw.tables import RawTable, column_missing, open_table, required

_ROLES = ("subdomain", "group", "split", "id")


def wanted_columns(columns: RawColumns, *more: str) -> list[str]:
    """Return the columns of a table that are held in memory."""
    named = [getattr(columns, role) for role in _ROLES]
    return list(dict.fromkeys([columns.label, *more, *filter(None, named)]))


def table_part(
    upload: Upload,
    kind: str,
    modality: Modality,
    columns: RawColumns,
    first: int,
    limits: RawLimits,
) -> RawPart:
    """Return the rows of one Parquet, JSONL or CSV file; ``first`` is the number of its first.

    Raises:
        InputProblem: ``column_missing``, and what is wrong with the table.
    """
    item = columns.item or modality
    table = open_table(upload.path, upload.filename, kind, wanted_columns(columns), limits)
    if item not in table.names:
        raise column_missing(table, "item", item)
    found = {
        role: required(table, role, name)
        for role in _ROLES
        if (name := getattr(columns, role)) is not None
    }
    rows = range(first, first + table.rows)
    return RawPart(
        where=table.where,
        rows=table.rows,
        y=required(table, "label", columns.label),
        id=found.get("id") or ListColumn("id", f"the rows of {table.where}", rows),
        items=lambda: _items(table, item),
        splits=found.get("split"),
        subdomain=found.get("subdomain"),
        group=found.get("group"),
        declared=declared_names(table, columns),
    )


def declared_names(table: RawTable, columns: RawColumns) -> dict[str, list[str] | None]:
    """Return what a table declares of the columns whose values become numbers."""
    named = {"y": columns.label, "subdomain": columns.subdomain, "group": columns.group}
    return {role: table.declared(name) for role, name in named.items() if name is not None}


def _items(table: RawTable, item: str) -> Iterator[RawItem]:
    for row, value in enumerate(table.items(item)):
        name = f"row {row} of {table.where}"
        if value is None:
            content: bytes | str | ItemProblem = ItemProblem("item_missing", "has nothing in it")
        elif isinstance(value, bytes | str | ItemProblem):
            content = value
        else:
            content = ItemProblem("bad_text", f"is of type {type(value).__name__}; expected text")
        yield RawItem(row, name, content)
