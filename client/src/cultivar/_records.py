"""The service's nouns as it sends them: read-only, and fields of a newer service are kept."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

UNFINISHED = frozenset(
    {"queued", "starting", "running", "awaiting_review", "finalizing", "canceling"}
)
AWAITING_REVIEW = "awaiting_review"
SUCCESSFUL = frozenset({"succeeded", "partially_succeeded"})


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    id: str


class Progress(BaseModel):
    """One step of a job; ``max`` is 0 until it is known."""

    model_config = ConfigDict(frozen=True, extra="allow")

    code: str
    value: float = 0.0
    max: float = 0.0


class JobRecord(Record):
    kind: str
    state: str
    spec: dict[str, Any] = {}
    seed: int | None = None
    evaluate: dict[str, Any] | None = None
    release_if: dict[str, Any] | None = None
    metadata: dict[str, str] = {}
    blocked_by: tuple[str, ...] = ()
    steps: tuple[Progress, ...] = ()
    counts: dict[str, int] = {}
    usage: dict[str, float] = {}
    eta_seconds: float | None = None
    queue_position: int | None = None
    unserved_class: str | None = None
    awaiting: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class DatasetRecord(Record):
    name: str
    modality: str
    format: str
    state: str
    job_id: str
    created_at: datetime | None = None
    manifest: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Upload(Record):
    filename: str
    bytes: int
    part_bytes: int
    state: str
    parts: tuple["PartRecord", ...] = ()


class PartRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    number: int
    bytes: int
    sha256: str


class Artifact(Record):
    """A file of a job's result."""

    job_id: str
    name: str
    sha256: str
    bytes: int
    media_type: str


class Model(Record):
    """A trained generator or classifier; `config` says what it is."""

    job_id: str
    files: dict[str, Any] = {}
    config: dict[str, Any] = {}
    created_at: datetime | None = None


class Picture(BaseModel):
    """An image at the service."""

    model_config = ConfigDict(frozen=True, extra="allow")

    sha256: str
    bytes: int


class ReviewItem(Record):
    """Something that a job made and a person may accept or reject.

    Attributes:
        source: id of the row that it was made from; None where there is none.
        before: that row's image.
        media_type: of both images.
        scores: by filter, whatever they measured.
        decision: what the filters made of it, such as ``kept``.
        verdict: ``accepted`` or ``rejected``, where a person has said so.
    """

    label: str
    description: str
    source: str | None = None
    before: Picture | None = None
    after: Picture
    media_type: str
    scores: dict[str, Any] = {}
    decision: str
    verdict: str | None = None


class Review(BaseModel):
    """What a person has said of a job so far.

    Attributes:
        awaiting: ``descriptions`` or ``edits``, while the job waits for a person.
        descriptions: what to go on with; None keeps those proposed.
        accepted: ids of items.
        rejected: ids of items.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    awaiting: str | None = None
    descriptions: tuple[str, ...] | None = None
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


class Event(BaseModel):
    """Something that happened to a job; ``seq`` grows."""

    model_config = ConfigDict(frozen=True, extra="allow")

    seq: int
    type: str
    data: dict[str, Any] = {}
    created_at: datetime | None = None


Upload.model_rebuild()
