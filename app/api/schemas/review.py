"""What a job shows a person while it waits, and what the person says."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from app.api.schemas.base import Body, View
from app.domain.reviews import ITEM_ID, Awaited, Picture, ShownItem, Verdict
from models.alia.spec import Description
from models.spec import contradiction

ItemIds = Annotated[tuple[Annotated[str, Field(pattern=ITEM_ID)], ...], Field(max_length=10_000)]


class ReviewRequest(Body):
    """Say what a job is to go on with: descriptions, or verdicts on items. It goes on when resumed."""

    descriptions: Annotated[tuple[Description, ...], Field(min_length=1, max_length=100)] | None = (
        None
    )
    """All descriptions to go on with, in place of those proposed."""

    accept: ItemIds = ()
    """Items to keep, whatever was said of them before."""

    reject: ItemIds = ()
    """Items to drop, whatever was said of them before."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        judges = bool(self.accept or self.reject)
        if self.descriptions is None and not judges:
            raise contradiction(
                "empty_review", "Neither `descriptions` nor `accept` or `reject` is given"
            )
        if self.descriptions is not None and judges:
            raise contradiction(
                "two_reviews",
                "A job waits for descriptions or for verdicts on items, never for both",
                "descriptions",
            )
        both = set(self.accept) & set(self.reject)
        for place, item_id in enumerate(self.reject):
            if item_id in both:
                raise contradiction(
                    "accepted_and_rejected",
                    f"The item {item_id!r} is accepted as well",
                    "reject",
                    str(place),
                )
        return self


class ReviewView(View):
    """What a person has said of a job so far."""

    awaiting: Awaited | None
    """What is awaited now."""

    descriptions: list[str] | None
    """Descriptions to go on with; null keeps those proposed."""

    accepted: list[str]
    """Ids of items."""

    rejected: list[str]
    """Ids of items."""


class PictureView(View):
    """An image; its bytes are at the item's `/before` or `/after`."""

    sha256: str
    bytes: int


class ItemView(View):
    """Something made that a person may accept or reject, beside what it was made from."""

    id: str
    label: str
    description: str
    source: str | None
    """The owner's id of the row that it was made from; null where there is none."""

    before: PictureView | None
    """That row's image."""

    after: PictureView
    media_type: str
    """Of both images."""

    scores: dict[str, Any]
    """By filter, whatever they measured."""

    decision: str
    """What the filters made of it, such as `kept`."""

    verdict: Verdict | None
    """What a person said of it."""

    @classmethod
    def of(cls, shown: ShownItem) -> Self:
        item = shown.item
        return cls(
            id=item.item_id,
            label=item.label,
            description=item.description,
            source=item.source,
            before=_picture(item.before) if item.before else None,
            after=_picture(item.after),
            media_type=item.media_type,
            scores=item.scores,
            decision=item.decision,
            verdict=shown.verdict,
        )


def _picture(picture: Picture) -> PictureView:
    return PictureView(sha256=picture.sha256, bytes=picture.bytes)
