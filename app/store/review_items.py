"""What a job shows a person: the table of it, from records to rows and back."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Integer,
    RowMapping,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from app.domain.reviews import Picture, ReviewItem, ShownItem
from app.store.tables import Document, Id, Sha256, metadata

review_items = Table(
    "review_items",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id"), primary_key=True),
    Column("id", Id, primary_key=True),
    # The order in which they are shown.
    Column("number", Integer, nullable=False),
    Column("label", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("source", Text),
    Column("before_sha256", Sha256),
    Column("before_bytes", BigInteger),
    Column("after_sha256", Sha256, nullable=False),
    Column("after_bytes", BigInteger, nullable=False),
    Column("media_type", String(200), nullable=False),
    Column("scores", Document, nullable=False),
    Column("decision", String(40), nullable=False),
    Column("verdict", String(20)),
    UniqueConstraint("job_id", "number"),
)


def of_job(job_id: str) -> ColumnElement[bool]:
    """Return the condition that an item is shown by this job."""
    return review_items.c.job_id == job_id


def row_of(job_id: str, number: int, item: ReviewItem) -> dict[str, Any]:
    """Return the values of an item's row; nobody has judged it yet."""
    return {
        "job_id": job_id,
        "id": item.item_id,
        "number": number,
        "label": item.label,
        "description": item.description,
        "source": item.source,
        "before_sha256": item.before.sha256 if item.before else None,
        "before_bytes": item.before.bytes if item.before else None,
        "after_sha256": item.after.sha256,
        "after_bytes": item.after.bytes,
        "media_type": item.media_type,
        "scores": item.scores,
        "decision": item.decision,
    }


def shown(row: RowMapping) -> ShownItem:
    """Return the record of an item's row."""
    before = row["before_sha256"]
    item = ReviewItem(
        item_id=row["id"],
        label=row["label"],
        description=row["description"],
        source=row["source"],
        before=Picture(before, row["before_bytes"]) if before else None,
        after=Picture(row["after_sha256"], row["after_bytes"]),
        media_type=row["media_type"],
        decision=row["decision"],
        scores=row["scores"],
    )
    return ShownItem(row["number"], item, row["verdict"])
