"""Datasets: validated, canonical, immutable rows."""

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag

from app.api.schemas.base import Body, View
from app.api.schemas.problem import ProblemView
from app.domain.records import DatasetState
from app.domain.specs import Columns, DatasetFormat, RawColumns, RawFormat, RawModality

LONGEST_NAME = 200
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
UploadId = Annotated[str, Field(pattern=r"^up_[0-9a-f]{32}$")]


class _Request(Body):
    upload_ids: Annotated[tuple[UploadId, ...], Field(min_length=1, max_length=1000)]
    """Complete uploads, in the order in which their rows are to follow each other."""

    name: Name | None = None
    """For people; by default the first file's name."""


class EmbeddingDatasetRequest(_Request):
    """Make a dataset of embeddings of complete uploads."""

    modality: Literal["embedding"] = "embedding"
    """What a row is."""

    format: DatasetFormat | None = None
    """How the files are written; by default told by the first file's suffix."""

    columns: Columns = Columns()
    """Which array or column holds what."""


class RawDatasetRequest(_Request):
    """Make a dataset of images, audio clips or texts of complete uploads."""

    modality: RawModality
    """What an item is."""

    format: RawFormat | None = None
    """How the files are written; by default told by the first file's suffix."""

    columns: RawColumns = RawColumns()
    """Which field of the metadata, or column of the table, holds what."""


def _which(body: Any) -> str:
    """Return the tag of the request that a body is meant as."""
    modality = body.get("modality") if isinstance(body, dict) else getattr(body, "modality", None)
    return "raw" if modality in get_args(RawModality) else "embedding"


DatasetRequest = Annotated[
    Annotated[EmbeddingDatasetRequest, Tag("embedding")] | Annotated[RawDatasetRequest, Tag("raw")],
    Discriminator(_which),
]


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
