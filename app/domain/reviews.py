"""What a job shows a person while it waits, and what the person says."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

Awaited = Literal["descriptions", "edits"]
"""What a job that waits for a person waits for."""

Verdict = Literal["accepted", "rejected"]

ITEM_ID = r"^[A-Za-z0-9_.-]{1,64}$"
"""Ids of items are made by workers, and stand in paths."""

_ITEM_ID = re.compile(ITEM_ID)


def nothing_said() -> dict[str, Any]:
    """Return what a person says of a job, before the person has said anything.

    ``descriptions`` stand in place of those proposed, None keeps these; ``accepted`` and ``rejected`` are
    ids of items.
    """
    return {"descriptions": None, "accepted": [], "rejected": []}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image whose bytes are already in the blob store."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """Something made that a person may accept or reject, shown beside what it was made from.

    Attributes:
        item_id: unique in its job.
        source: the owner's id of the row that it was made from; None where there is none.
        before: that row's image; None where it was made without one.
        media_type: of both images.
        scores: by filter, whatever they measured.
        decision: what the filters made of it, such as ``kept``.
    """

    item_id: str
    label: str
    description: str
    source: str | None
    before: Picture | None
    after: Picture
    media_type: str
    decision: str
    scores: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _ITEM_ID.match(self.item_id):
            raise ValueError(f"{self.item_id!r} is no id of an item")


@dataclass(frozen=True, slots=True)
class ShownItem:
    """A `ReviewItem` as it is kept.

    Attributes:
        number: its place in its job, from 1; the cursor of lists.
        verdict: what a person said of it; None before.
    """

    number: int
    item: ReviewItem
    verdict: Verdict | None
