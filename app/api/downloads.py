"""Bytes out: a blob by ranges with its digest, or several blobs as one zip, never held in memory."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Header, Request, Response
from starlette.responses import StreamingResponse

from app.api.context import Caller
from app.api.digests import digest_field
from app.api.jobs import matches
from app.api.ranges import byte_range
from app.domain.records import Artifact


@dataclass(frozen=True, slots=True)
class Download:
    """A file that a blob holds."""

    name: str
    sha256: str
    bytes: int
    media_type: str


class Conditions:
    """A dependency: what the request's header fields say about a download."""

    def __init__(
        self,
        request: Request,
        *,
        range: Annotated[str | None, Header(description="One range of bytes.")] = None,  # noqa: A002 (the field's name)
        if_range: Annotated[str | None, Header(description="`Range` holds for this ETag.")] = None,
        if_none_match: Annotated[str | None, Header(description="An `ETag` seen before.")] = None,
    ) -> None:
        self.is_head = request.method == "HEAD"
        self.if_none_match = if_none_match
        self._range = range
        self._if_range = if_range

    def range_for(self, etag: str) -> str | None:
        """Return `Range`, unless `If-Range` says that the client has another version."""
        return self._range if self._if_range in {None, etag} else None


Asked = Annotated[Conditions, Depends(Conditions)]


def blob_response(asked: Conditions, caller: Caller, file: Download) -> Response:
    """Return the file or its range; 302 where the store hands out addresses of its own.

    Raises:
        RangeNotSatisfiable: the range has no byte of it.
    """
    headers = {
        "ETag": f'"{file.sha256}"',
        "Repr-Digest": digest_field(file.sha256),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": disposition(file.name),
    }
    if matches(asked.if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    # Such an address is signed for GET alone, so HEAD is answered here.
    redirects = caller.services.settings.redirect_downloads and not asked.is_head
    if redirects and (address := caller.blobs.presign(caller.tenant_id, file.sha256)):
        return Response(status_code=302, headers={"Location": address, "Cache-Control": "no-store"})
    part = byte_range(asked.range_for(headers["ETag"]), file.bytes)
    start, end = part or (0, file.bytes)
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.bytes}"
    status = 200 if part is None else 206
    if asked.is_head or start == end:
        return Response(status_code=status, headers=headers, media_type=file.media_type)
    # Opened before the answer begins: a blob that is gone is a 404, not a broken body.
    body = caller.blobs.open_range(caller.tenant_id, file.sha256, start, end)
    return StreamingResponse(body, status, headers, file.media_type)


def disposition(name: str) -> str:
    """Return a `Content-Disposition` that saves the file under its name (RFC 6266)."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def zip_response(caller: Caller, name: str, artifacts: Sequence[Artifact]) -> Response:
    """Return all files in one zip, written as it is read."""
    headers = {"Content-Disposition": disposition(name), "Cache-Control": "no-store"}
    return StreamingResponse(_zipped(caller, artifacts), 200, headers, "application/zip")


class _Outbox(io.RawIOBase):
    """Takes what zipfile writes until it is sent; cannot seek, so that sizes follow their data."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._written += view
        return view.nbytes

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def _zipped(caller: Caller, artifacts: Sequence[Artifact]) -> Iterator[bytes]:
    outbox = _Outbox()
    # Stored, not deflated: arrays of floats hardly shrink, and it would be the slowest part.
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for artifact in artifacts:
            entry = zipfile.ZipInfo(artifact.name, artifact.created_at.timetuple()[:6])
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as member:
                for chunk in caller.blobs.open_range(caller.tenant_id, artifact.sha256):
                    member.write(chunk)
                    yield outbox.take()
    yield outbox.take()
