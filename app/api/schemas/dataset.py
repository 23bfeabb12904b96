"""Datasets: validated, canonical, immutable rows."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.schemas.base import Body, View
from app.api.schemas.problem import ProblemView
from app.domain.records import DatasetState
from app.domain.specs import Columns, DatasetFormat

LONGEST_NAME = 200
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
UploadId = Annotated[str, Field(pattern=r"^up_[0-9a-f]{32}$")]


class DatasetRequest(Body):
    """Make a dataset of complete uploads."""

    upload_ids: Annotated[tuple[UploadId, ...], Field(min_length=1, max_length=1000)]
    """Complete uploads, in the order in which their rows are to follow each other."""

    modality: Literal["embedding"] = "embedding"
    """What a row is."""

    format: DatasetFormat | None = None
    """How the files are written; by default told by the first file's suffix."""

    columns: Columns = Columns()
    """Which array or column holds what."""

    name: Name | None = None
    """For people; by default the first file's name."""


class DatasetPatch(Body):
    """What of a dataset may change: its name."""

    name: Name


class DatasetView(View):
    """A dataset; it may be named in jobs before it is `ready`."""

    id: str
    name: str
    modality: str
    format: str
    state: DatasetState
    job_id: str
    """The ingest job that makes it."""

    created_at: datetime
    manifest: dict[str, Any] | None
    """Rows, dimensions, classes, splits and cells of the canonical form; null until ready."""

    error: ProblemView | None
    """Why it failed."""


class DatasetStats(View):
    """What ingest counted, and each bad row by number."""

    id: str
    state: DatasetState
    stats: dict[str, Any] | None
    """Class counts, splits, subdomains, cells (class by subdomain), rows without a label, duplicates
    and rejected rows; null until ready."""
