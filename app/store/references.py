"""Which blobs the rows name: what must not be collected, and what a backup consists of.

A row names a blob in a column of its own, or in a document as an object that has ``sha256`` and ``bytes``;
a hash that stands alone (a model's revision, what a split is known by) names none. `SOURCES` has every
place; a test compares it with the tables, so that a new column is not forgotten.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, RowMapping, Select, Table, select

from app.store.blob_files import is_sha256
from app.store.review_items import review_items
from app.store.tables import (
    artifacts,
    classifiers,
    datasets,
    generators,
    jobs,
    tasks,
    uploads,
)
from app.store.work import Work

_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """A table whose rows name blobs.

    Attributes:
        owner: the job, or the upload, with which a row of it goes.
        hashes: columns with a sha-256, each with the column of its size where there is one.
        documents: columns with documents.
    """

    table: Table
    owner: Column[str]
    hashes: tuple[tuple[Column[str], Column[int] | None], ...] = ()
    documents: tuple[Column[Any], ...] = ()


SOURCES = (
    Source(uploads, uploads.c.id, hashes=((uploads.c.blob, uploads.c.bytes),)),
    Source(jobs, jobs.c.id, documents=(jobs.c.spec, jobs.c.evaluate, jobs.c.result, jobs.c.review)),
    Source(
        tasks,
        tasks.c.job_id,
        hashes=((tasks.c.checkpoint_sha256, None),),
        documents=(tasks.c.payload, tasks.c.result),
    ),
    Source(datasets, datasets.c.job_id, documents=(datasets.c.manifest, datasets.c.stats)),
    Source(artifacts, artifacts.c.job_id, hashes=((artifacts.c.sha256, artifacts.c.bytes),)),
    Source(generators, generators.c.job_id, documents=(generators.c.files, generators.c.config)),
    Source(
        classifiers, classifiers.c.job_id, documents=(classifiers.c.files, classifiers.c.config)
    ),
    Source(
        review_items,
        review_items.c.job_id,
        hashes=(
            (review_items.c.before_sha256, review_items.c.before_bytes),
            (review_items.c.after_sha256, review_items.c.after_bytes),
        ),
        documents=(review_items.c.scores,),
    ),
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A row's naming of a blob.

    Attributes:
        bytes: as the row has it; None where it does not say.
        owner: id of the job or the upload with which the row goes.
    """

    tenant_id: str
    sha256: str
    bytes: int | None
    owner: str


def referenced(work: Work) -> Iterator[tuple[str, str]]:
    """Yield tenant and sha-256 of every blob that any row names; of one that several name, repeatedly.

    It is read table by table: for a whole that fits together, from a transaction of `Store.snapshot`. That
    one must not stay idle for long, so what takes long (copying) comes after it.
    """
    for one in references(work):
        yield one.tenant_id, one.sha256


def references(work: Work, tenant_id: str | None = None) -> Iterator[Reference]:
    """Yield what the rows of all tenants, or of one, name. Rows are read as they are asked for."""
    for source in SOURCES:
        query = _query(source, tenant_id).execution_options(yield_per=_ROWS_AT_ONCE)
        for row in work.connection.execute(query).mappings():
            yield from _of_row(source, row)


def _query(source: Source, tenant_id: str | None) -> Select[Any]:
    # What is shown for review says whose it is by its job alone.
    direct = "tenant_id" in source.table.c
    tenant = source.table.c.tenant_id if direct else jobs.c.tenant_id
    hashes = [column for pair in source.hashes for column in pair if column is not None]
    query = select(
        tenant.label("tenant_id"), source.owner.label("owner"), *hashes, *source.documents
    )
    if not direct:
        query = query.join(jobs, jobs.c.id == source.owner)
    return query if tenant_id is None else query.where(tenant == tenant_id)


def _of_row(source: Source, row: RowMapping) -> Iterator[Reference]:
    tenant_id, owner = row["tenant_id"], row["owner"]
    for sha256, size in source.hashes:
        if row[sha256] is not None:
            yield Reference(tenant_id, row[sha256], None if size is None else row[size], owner)
    for document in source.documents:
        for named, length in _in_document(row[document]):
            yield Reference(tenant_id, named, length, owner)


def _in_document(value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        sha256, size = value.get("sha256"), value.get("bytes")
        if isinstance(sha256, str) and isinstance(size, int) and is_sha256(sha256):
            yield sha256, size
        for inner in value.values():
            yield from _in_document(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _in_document(inner)
