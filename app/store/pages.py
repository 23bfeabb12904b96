"""Lists by cursor: newest first, and whether there is more."""

from typing import Any

from sqlalchemy import RowMapping, Select, Table

from app.store.work import Work


def page(
    work: Work, table: Table, query: Select[Any], limit: int, after: str | None
) -> tuple[list[RowMapping], bool]:
    """Return up to ``limit`` rows of ids before ``after``, and whether more follow.

    Ids begin with the time they were made at, so the order of ids is that of age.
    """
    query = query.order_by(table.c.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(table.c.id < after)
    rows = list(work.rows(query))
    return rows[:limit], len(rows) > limit
