"""Uploads: a file on its way in."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.api.schemas.base import Body, View
from app.domain.records import UploadState

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class UploadRequest(Body):
    """Begin an upload."""

    filename: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\\\x00-\x1f]+$")]
    """The file's own name, without folders."""

    bytes: Annotated[int, Field(ge=0, le=(1 << 63) - 1)]
    """Size of the whole file."""

    sha256: Sha256 | None = None
    """Hex sha-256 of the whole file; checked when the upload is completed."""


class PartView(View):
    """A part that has been received whole."""

    number: int
    """From 1."""

    bytes: int
    sha256: str


class UploadView(View):
    """An upload; send parts 1 … n of `part_bytes` each (the last may be shorter)."""

    id: str
    filename: str
    bytes: int
    part_bytes: int
    sha256: str | None
    """Hex sha-256 of the whole file: the promised one, if any; once complete, that of the bytes kept."""

    state: UploadState
    created_at: datetime
    parts: list[PartView]
    """Parts received so far: resume with the others."""
