"""Flows around a job that waits for a person: what it shows, and what is said of it."""

import mimetypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cultivar._constants import PAGE_LIMIT
from cultivar._downloading import RemoteFile, download_to
from cultivar._exchange import Flow, Send, exchange, pages
from cultivar._operations import page_of
from cultivar._progress import transfer
from cultivar._records import Review, ReviewItem


def items_page(job_id: str, after: str | None) -> Flow[tuple[list[ReviewItem], str | None]]:
    """Return one page of a job's items, and the cursor of the next."""
    return (
        yield from page_of(ReviewItem, f"/v1/jobs/{job_id}/items", {"limit": PAGE_LIMIT}, after)
    )


def download_items(job_id: str, folder: Path, show: bool) -> Flow[list[Path]]:
    """Fetch the images of a job's items into a folder; each is checked and whole."""
    rows = yield from pages(Send("GET", f"/v1/jobs/{job_id}/items", {"limit": PAGE_LIMIT}))
    items = [ReviewItem.model_validate(row) for row in rows]
    files = [file for item in items for file in _files(job_id, item)]
    total = sum(file.bytes for file in files)
    paths = []
    with transfer(f"{len(files)} images", "receiving", total=total, show=show) as (received,):
        for file in files:
            path = yield from download_to(file, folder, received)
            paths.append(path)
    return paths


def said(job_id: str) -> Flow[Review]:
    reply = yield from exchange(Send("GET", f"/v1/jobs/{job_id}/reviews"))
    return Review.model_validate(reply.json())


def review(
    job_id: str,
    descriptions: str | Sequence[str] | None,
    accept: str | Sequence[str],
    reject: str | Sequence[str],
) -> Flow[Review]:
    """Say what a job is to go on with; what is not given is not sent."""
    body: dict[str, Any] = {}
    if descriptions is not None:
        body["descriptions"] = _listed(descriptions)
    body.update(
        {name: _listed(ids) for name, ids in (("accept", accept), ("reject", reject)) if ids}
    )
    # The last word on an item holds, so a repeated request does no harm and needs no key.
    reply = yield from exchange(Send("POST", f"/v1/jobs/{job_id}/reviews", json=body))
    return Review.model_validate(reply.json())


def _listed(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)  # else its letters would be sent


def _files(job_id: str, item: ReviewItem) -> Iterator[RemoteFile]:
    suffix = mimetypes.guess_extension(item.media_type) or ""
    for side, picture in (("before", item.before), ("after", item.after)):
        if picture is not None:
            path = f"/v1/jobs/{job_id}/items/{item.id}/{side}"
            yield RemoteFile(path, f"{item.id}-{side}{suffix}", picture.sha256, picture.bytes)
