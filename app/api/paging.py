"""Cursors: the `after` of a list is the id of the last row seen."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from app.api.schemas.base import Page, View

V = TypeVar("V", bound=View)

Limit = Annotated[int, Query(ge=1, le=100, description="Rows a page.")]
After = Annotated[
    str | None,
    Query(pattern=r"^[a-z]{2,4}_[0-9a-f]{32}$", description="The `next_after` of the page before."),
]


def page(view: type[V], rows: Sequence[object], has_more: bool) -> Page[V]:
    """Return the rows as a page; they must have an ``id``."""
    data = [view.model_validate(row) for row in rows]
    last = getattr(rows[-1], "id", None) if rows and has_more else None
    return Page[view](data=data, has_more=has_more, next_after=last)  # type: ignore[valid-type]
