"""Bases of what is taken in and of what is shown, and pages of it."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


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
