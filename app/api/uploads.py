"""`/v1/uploads`: files come in, in parts, straight to disk."""

import asyncio
import math
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api import digests
from app.api.callers import DatasetReader, DatasetWriter
from app.api.context import Caller
from app.api.idempotency import Answer, IdempotencyKey, once
from app.api.locks import Locks
from app.api.openapi import BINARY_BODY, problems
from app.api.route import ApiRoute
from app.api.schemas.upload import PartView, UploadRequest, UploadView
from app.api.staging import Staging
from app.domain.problems import (
    BadRequest,
    Conflict,
    Invalid,
    NotFound,
    TooLarge,
    UnsupportedMedia,
)
from app.domain.records import Part, Upload, UploadState

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], route_class=ApiRoute)

# Formats that are code when they are read (pickle), or may hold it.
NEVER_OPENED = frozenset({".pt", ".pth", ".pkl", ".pickle", ".bin", ".joblib", ".ckpt", ".dill"})
_MOST_PARTS = 10_000
_completing = Locks()


def staging(caller: Caller) -> Staging:
    return Staging(caller.blobs.staging, caller.tenant_id)


def check_suffix(filename: str, param: str) -> None:
    """Raise UnsupportedMedia for a file that would have to be unpickled."""
    suffix = PurePath(filename).suffix.lower()
    if suffix in NEVER_OPENED:
        raise UnsupportedMedia(
            f"{suffix} files can hold code and are never opened;"
            " send npz, npy, safetensors, parquet or arrow.",
            param=param,
        )


def find(caller: Caller, upload_id: str) -> Upload:
    """Return the tenant's upload, or raise NotFound."""
    with caller.store.read() as tx:
        upload = tx.uploads.get(caller.tenant_id, upload_id)
    if upload is None:
        raise NotFound("upload")
    return upload


@router.post("", status_code=201, response_model=UploadView, responses=problems(409, 413, 415, 507))
def begin_upload(
    body: UploadRequest, caller: DatasetWriter, key: IdempotencyKey = None
) -> Response:
    """Begin an upload."""
    settings = caller.services.settings
    check_suffix(body.filename, "filename")
    if body.bytes > settings.max_upload_bytes:
        raise TooLarge(
            f"A file may have {settings.max_upload_bytes} bytes.",
            code="upload_too_large",
            param="bytes",
        )
    part_bytes = max(settings.part_bytes, math.ceil(body.bytes / _MOST_PARTS))
    with caller.store.write() as tx:

        def make() -> Answer:
            staging(caller).ensure_space(body.bytes)  # not before: a replay needs no space
            upload = tx.uploads.create(
                caller.tenant_id, body.filename, body.bytes, body.sha256, part_bytes
            )
            view = UploadView.model_validate(upload)
            return Answer(201, view.model_dump_json(), {"Location": f"/v1/uploads/{upload.id}"})

        answer = once(tx, caller, key, body, make)
    return answer.response()


@router.get("/{upload_id}", responses=problems(404))
def get_upload(upload_id: str, caller: DatasetReader) -> UploadView:
    """Show an upload and the parts received: resume with the others."""
    return UploadView.model_validate(find(caller, upload_id))


@router.delete("/{upload_id}", status_code=204, responses=problems(404, 409))
def delete_upload(upload_id: str, caller: DatasetWriter) -> Response:
    """Give up an upload; datasets made of it stay. While a job that has not ended reads it, it is refused."""
    with caller.store.write() as tx:
        tx.tenants.alone(caller.tenant_id)
        tx.deletions.refuse_upload_in_use(caller.tenant_id, upload_id)
        if not tx.uploads.delete(caller.tenant_id, upload_id):
            raise NotFound("upload")
    staging(caller).remove(upload_id)
    return Response(status_code=204)


@router.put(
    "/{upload_id}/parts/{number}",
    responses=problems(400, 404, 409, 413, 415, 507),
    openapi_extra=BINARY_BODY,
)
async def put_part(
    upload_id: str,
    number: Annotated[int, Path(ge=1, le=_MOST_PARTS)],
    request: Request,
    caller: DatasetWriter,
) -> PartView:
    """Send one part as the raw body; `Content-Digest: sha-256=:…:` has it checked."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Parts are taken unencoded.", param="Content-Encoding")
    promised = digests.promised(request.headers.get("content-digest"))
    upload = await run_in_threadpool(find, caller, upload_id)
    expected = _expected_bytes(upload, number)
    _check_length(request.headers.get("content-length"), expected)
    received = await staging(caller).receive(upload_id, number, request.stream(), expected)
    try:
        digests.check(promised, received.sha256, "Content-Digest")
        await run_in_threadpool(received.keep)
    except FileNotFoundError as error:  # deleted while the bytes came in
        raise NotFound("upload") from error
    except BaseException:
        received.discard()
        raise
    await run_in_threadpool(_record, caller, upload_id, number, received.bytes, received.sha256)
    caller.services.metrics.upload_bytes.inc(received.bytes)
    return PartView(number=number, bytes=received.bytes, sha256=received.sha256)


@router.post("/{upload_id}/complete", responses=problems(404, 409, 507))
async def complete_upload(upload_id: str, caller: DatasetWriter) -> UploadView:
    """Join the parts and check the whole; a second call answers the same."""
    # A client that gave up waiting and asks again must not start the joining twice.
    async with _completing.of(upload_id):
        # In asyncio's own few threads: long joinings must not take those that requests are served by.
        upload = await asyncio.to_thread(_complete, caller, upload_id)
    return UploadView.model_validate(upload)


def _complete(caller: Caller, upload_id: str) -> Upload:
    upload = find(caller, upload_id)
    if upload.state is UploadState.COMPLETE:
        return upload
    parts = _all_parts(upload, staging(caller))
    whole, sha256 = staging(caller).assemble(upload_id, parts)
    try:
        digests.check(upload.sha256, sha256, "sha256")
        blob = caller.blobs.put_file(caller.tenant_id, whole, sha256=sha256)
        with caller.store.write() as tx:
            upload = tx.uploads.complete(caller.tenant_id, upload_id, blob.sha256, blob.bytes)
    finally:
        whole.unlink(missing_ok=True)
    staging(caller).remove(upload_id)
    return upload


def _all_parts(upload: Upload, staged: Staging) -> list[Part]:
    """Return every part in order, or raise Conflict with the numbers of those to send."""
    parts = {part.number: part for part in upload.parts}
    wanted = range(1, _part_count(upload) + 1)
    absent = [number for number in wanted if number not in parts]
    absent += staged.missing(upload.id, [parts[n] for n in wanted if n in parts])
    if absent:
        numbers = ", ".join(map(str, sorted(absent)[:20]))
        raise Conflict(
            f"{len(absent)} of {len(wanted)} parts are still to be sent, first: {numbers}.",
            code="upload_incomplete",
            param="parts",
        )
    return [parts[number] for number in wanted]


def _part_count(upload: Upload) -> int:
    return math.ceil(upload.bytes / upload.part_bytes)


def _expected_bytes(upload: Upload, number: int) -> int:
    if upload.state is UploadState.COMPLETE:
        raise Conflict("This upload is complete.", code="upload_complete")
    count = _part_count(upload)
    if number > count:
        raise Invalid(f"This upload has {count} parts.", param="number")
    last = upload.bytes - (count - 1) * upload.part_bytes
    return last if number == count else upload.part_bytes


def _check_length(header: str | None, expected: int) -> None:
    """Refuse a wrong length before a byte is read; a lying one is found while reading."""
    if header is None:
        return
    if int(header) > expected:
        raise TooLarge(f"This part must have {expected} bytes.", param="Content-Length")
    if int(header) < expected:
        raise BadRequest(
            f"This part must have {expected} bytes.", code="wrong_length", param="Content-Length"
        )


def _record(caller: Caller, upload_id: str, number: int, size: int, sha256: str) -> None:
    # Refused where the upload was deleted or completed while the bytes came in.
    with caller.store.write() as tx:
        tx.uploads.record_part(caller.tenant_id, upload_id, number, size, sha256)
