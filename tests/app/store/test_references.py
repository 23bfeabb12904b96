"""Every place where a row can name a blob."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Column, String, insert, update

from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Checkpoint, Effects, NewArtifact, NewModel, NewTask
from app.store.references import SOURCES, referenced, references
from app.store.review_items import review_items, row_of
from app.store.tables import datasets, jobs, metadata

if TYPE_CHECKING:
    from tests.app.store.conftest import Lab

NAME_NONE = {
    "keys.scopes", "workers.classes", "uploads.sha256", "upload_parts.sha256", "blobs.sha256",
    "jobs.release_if", "jobs.metadata", "jobs.error", "jobs.counts", "tasks.error", "datasets.error",
    "events.data", "idempotency.headers", "idempotency.fingerprint",
}  # fmt: skip
"""Columns that could, and do not: what was promised, counted or told, and the register itself."""


def sha(number: int) -> str:
    return f"{number:064x}"


def named(number: int) -> dict[str, object]:
    return {"sha256": sha(number), "bytes": number}


def _can_name(column: Column[Any]) -> bool:
    if column.foreign_keys or column.name.endswith(("id", "retry_of", "boot")):
        return False
    long = isinstance(column.type, String) and column.type.length == len(sha(0))
    return long or isinstance(column.type, JSON)


def test_every_column_that_can_name_a_blob_is_accounted_for() -> None:
    told = {str(column) for source in SOURCES for column in source.documents}
    told |= {str(column) for source in SOURCES for column, _ in source.hashes}
    columns = [column for table in metadata.tables.values() for column in table.columns]
    able = {str(column) for column in columns if _can_name(column)}
    assert told | NAME_NONE == able
    assert not told & NAME_NONE


def test_each_place_is_read(lab: Lab) -> None:
    """A gelda job in the middle, with everything that its workers can have stored so far."""
    with lab.store.write() as tx:
        upload = tx.uploads.create(lab.tenant, "a.npz", 1, sha(99), 1)
        tx.uploads.complete(lab.tenant, upload.id, sha(1), 1)
    job = lab.job("gelda", spec={"plan": [{"deep": named(2)}]})
    claim = lab.claimed()
    with lab.store.write() as tx:
        tx.tasks.checkpoint(claim.lease, Checkpoint(sha(3), 1))
    pictures = ReviewItem("one", "a", "b", None, Picture(sha(4), 4), Picture(sha(5), 5), "", "kept")
    effects = Effects(
        result={"files": {"x.npy": named(6)}, "splits": named(7), "revision": sha(98)},
        plan=(NewTask("train", 0, {"from": named(8)}),),
        artifacts=(NewArtifact("r.json", sha(9), 9, "application/json"),),
        generator=NewModel({"g": named(10)}, {"trained_on": {"splits": sha(97)}, "of": named(11)}),
        classifier=NewModel({"c": named(12)}, {"of": named(13)}),
        summary={"picture": named(14)},
        review=(pictures,),
    )
    assert lab.succeed(claim, effects)
    with lab.store.write() as tx:
        of_dataset = update(datasets).where(datasets.c.id == job.spec["dataset"])
        manifest = {"columns": {"x": named(15)}, "source": {"modality": "image", "sha256": sha(96)}}
        tx.run(of_dataset.values(manifest=manifest, stats={"thumbnails": named(16)}))
        tx.run(update(jobs).values(review={"of": named(17)}, evaluate={"of": named(18)}))
        scored = row_of(job.id, 2, pictures) | {"id": "two", "scores": {"of": named(19)}}
        tx.run(insert(review_items).values(scored))
    with lab.store.snapshot() as tx:
        assert set(referenced(tx)) == {(lab.tenant, sha(number)) for number in range(1, 20)}
        owners = {one.sha256: one.owner for one in references(tx, lab.tenant)}
        assert owners[sha(1)] == upload.id
        assert {owners[sha(number)] for number in (2, 3, 5, 6, 8, 9, 10, 12, 14)} == {job.id}
        assert not list(references(tx, "ten_other"))


def test_a_snapshot_sees_one_moment(lab: Lab) -> None:
    with lab.store.snapshot() as tx:
        before = {row["id"] for row in tx.rows(jobs.select())}
        made = lab.job("gelda")
        assert {row["id"] for row in tx.rows(jobs.select())} == before
    with lab.store.snapshot() as tx:
        assert made.id in {row["id"] for row in tx.rows(jobs.select())}


def test_what_is_no_hash_names_nothing(lab: Lab) -> None:
    for value in ("a" * 63, "A" * 64, 7, None):
        lab.job("sample", spec={"x": {"sha256": value, "bytes": 1}})
    with lab.store.read() as tx:
        assert not list(references(tx))
