"""`/v1/datasets`: uploads become validated, canonical, immutable rows by an `ingest` job."""

from pathlib import PurePath
from typing import cast, get_args

from fastapi import APIRouter, Response

from app.api.artifacts import IMAGE, file_responses
from app.api.callers import DatasetReader, DatasetWriter
from app.api.context import Caller
from app.api.deleting import DELETED, Cascade, DryRun, delete
from app.api.downloads import Asked, Download, blob_response
from app.api.idempotency import Answer, IdempotencyKey, once
from app.api.openapi import problems
from app.api.paging import After, Limit, page
from app.api.route import ApiRoute
from app.api.schemas.base import Page
from app.api.schemas.dataset import (
    LONGEST_NAME,
    DatasetPatch,
    DatasetRequest,
    DatasetStats,
    DatasetView,
    EmbeddingDatasetRequest,
    RawDatasetRequest,
)
from app.api.schemas.deletion import DeletionView
from app.api.submitting import RETRY_AFTER, ring
from app.api.uploads import check_suffix
from app.domain.deletions import Deletion
from app.domain.ids import new_id
from app.domain.jobs import NewJob
from app.domain.problems import Invalid, NotFound
from app.domain.records import Dataset, Upload, UploadState
from app.domain.specs import DatasetFormat, IngestSpec, RawFormat
from app.store.database import Transaction
from models.raw.spec import RAW_FORMATS

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=ApiRoute)

_BY_SUFFIX: dict[str, str] = {".pq": "parquet", ".feather": "arrow", ".ipc": "arrow"} | {
    f".{name}": name for name in get_args(DatasetFormat)
}
_RAW_BY_SUFFIX: dict[str, str] = {
    ".pq": "parquet",
    ".tgz": "tar",
    ".gz": "tar",
    ".ndjson": "jsonl",
    **{f".{name}": name for name in get_args(RawFormat)},
}


@router.post("", status_code=202, response_model=DatasetView, responses=problems(404, 409, 415))
def create_dataset(
    body: DatasetRequest, caller: DatasetWriter, key: IdempotencyKey = None
) -> Response:
    """Make a dataset of complete uploads; it may be named in jobs at once."""
    with caller.store.write() as tx:
        tx.tenants.naming(caller.tenant_id)

        def make() -> Answer:
            dataset = _create(tx, caller, body)
            headers = {"Location": f"/v1/datasets/{dataset.id}", "Retry-After": RETRY_AFTER}
            return Answer(202, DatasetView.model_validate(dataset).model_dump_json(), headers)

        answer = once(tx, caller, key, body, make)
    ring(caller, tx)
    return answer.response()


@router.get("")
def list_datasets(
    caller: DatasetReader, limit: Limit = 20, after: After = None
) -> Page[DatasetView]:
    """List datasets."""
    with caller.store.read() as tx:
        rows, has_more = tx.datasets.list(caller.tenant_id, limit, after)
    return page(DatasetView, rows, has_more)


@router.get("/{dataset_id}", responses=problems(404))
def get_dataset(dataset_id: str, caller: DatasetReader) -> DatasetView:
    """Show a dataset."""
    return DatasetView.model_validate(_find(caller, dataset_id))


@router.get("/{dataset_id}/stats", responses=problems(404))
def get_dataset_stats(dataset_id: str, caller: DatasetReader) -> DatasetStats:
    """Show what ingest counted, and each rejected row by number."""
    return DatasetStats.model_validate(_find(caller, dataset_id))


@router.get("/{dataset_id}/thumbnails", response_class=Response, responses=file_responses(IMAGE))
def get_dataset_thumbnails(dataset_id: str, asked: Asked, caller: DatasetReader) -> Response:
    """Show up to 64 items of a dataset of images, some of each class, as one WebP image."""
    kept = ((_find(caller, dataset_id).manifest or {}).get("columns") or {}).get("thumbnails")
    if kept is None:
        raise NotFound("picture", because="the dataset is not of images, or not ready")
    sheet = Download("thumbnails.webp", kept["sha256"], kept["bytes"], "image/webp")
    return blob_response(asked, caller, sheet)


@router.delete("/{dataset_id}", response_model=DeletionView, responses=DELETED)
def delete_dataset(
    dataset_id: str,
    caller: DatasetWriter,
    *,
    dry_run: DryRun = False,
    cascade: Cascade = None,
    key: IdempotencyKey = None,
) -> Response:
    """Delete a dataset, the job that makes it, and the uploads that nothing else names.

    Jobs whose specs name it derive from it. Jobs other than the ingest go only by a key with `jobs:write` too.
    """

    def plan(tx: Transaction) -> Deletion:
        return tx.deletions.of_dataset(caller.tenant_id, dataset_id, cascade)

    answer = delete(caller, key, dataset_id, plan, cascade=cascade, dry_run=dry_run)
    return answer.response()


@router.patch("/{dataset_id}", responses=problems(404, 415))
def rename_dataset(dataset_id: str, body: DatasetPatch, caller: DatasetWriter) -> DatasetView:
    """Rename a dataset; its rows never change."""
    with caller.store.write() as tx:
        dataset = tx.datasets.rename(caller.tenant_id, dataset_id, body.name)
    return DatasetView.model_validate(dataset)


def _find(caller: Caller, dataset_id: str) -> Dataset:
    with caller.store.read() as tx:
        dataset = tx.datasets.get(caller.tenant_id, dataset_id)
    if dataset is None:
        raise NotFound("dataset")
    return dataset


def _create(
    tx: Transaction, caller: Caller, body: EmbeddingDatasetRequest | RawDatasetRequest
) -> Dataset:
    uploads = [_complete_upload(tx, caller, upload_id) for upload_id in body.upload_ids]
    if len(set(body.upload_ids)) < len(uploads):
        raise Invalid("An upload is named twice.", param="upload_ids")
    format_ = _format_of(body, uploads[0])
    dataset_id = new_id("ds")
    spec = IngestSpec(
        dataset=dataset_id,
        uploads=body.upload_ids,
        modality=body.modality,
        format=format_,
        columns=body.columns,
    )
    job = tx.jobs.create(NewJob(caller.tenant_id, "ingest", spec.model_dump(mode="json"), seed=0))
    return tx.datasets.create(
        caller.tenant_id,
        body.name or uploads[0].filename[:LONGEST_NAME],
        body.modality,
        format_,
        job.id,
        dataset_id,
    )


def _complete_upload(tx: Transaction, caller: Caller, upload_id: str) -> Upload:
    upload = tx.uploads.get(caller.tenant_id, upload_id)
    if upload is None:
        raise Invalid("There is no such upload.", code="input_not_found", param="upload_ids")
    if upload.state is not UploadState.COMPLETE:
        raise Invalid("An upload is not complete.", code="upload_incomplete", param="upload_ids")
    check_suffix(upload.filename, "upload_ids")
    return upload


def _format_of(
    body: EmbeddingDatasetRequest | RawDatasetRequest, upload: Upload
) -> DatasetFormat | RawFormat:
    """Return the format that is named, or told by a suffix; one that the modality comes in."""
    by_suffix = _RAW_BY_SUFFIX if isinstance(body, RawDatasetRequest) else _BY_SUFFIX
    told = body.format or by_suffix.get(PurePath(upload.filename).suffix.lower())
    if told is None:
        raise Invalid(f"The suffix of {upload.filename} tells no format; name one.", param="format")
    if isinstance(body, RawDatasetRequest):
        known = RAW_FORMATS[body.modality]
        if told not in known:
            raise Invalid(
                f"A dataset of modality {body.modality} comes as {', '.join(known)}; found {told}.",
                param="format",
            )
    return cast("DatasetFormat | RawFormat", told)
