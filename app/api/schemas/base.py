"""Bases of what is taken in and of what is shown, and pages of it."""

import re
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

T = TypeVar("T")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written(value: Any) -> Any:
    """Refuse a number, which could be seconds or milliseconds since whenever: nobody guesses."""
    if not isinstance(value, str) or not _MOMENT.match(value):
        raise ValueError("a moment is expected, such as 2026-01-31T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A date and time with its zone, as RFC 3339 writes it."""


class Body(BaseModel):
    """A request's JSON: nothing unknown is accepted."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class View(BaseModel):
    """What the API shows of a record; made by ``View.model_validate(record)``."""

    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


class Page(View, Generic[T]):
    """Some rows of a list, newest first (a job's events and items: oldest first)."""

    data: list[T]

    has_more: bool = False
    """Whether rows follow these."""

    next_after: str | None = None
    """The `after` of the next page; null on the last."""
