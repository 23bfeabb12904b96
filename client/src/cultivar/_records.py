"""The service's nouns as it sends them: read-only, and fields of a newer service are kept."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

UNFINISHED = frozenset(
    {"queued", "starting", "running", "awaiting_review", "finalizing", "canceling"}
)
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


class Event(BaseModel):
    """Something that happened to a job; ``seq`` grows."""

    model_config = ConfigDict(frozen=True, extra="allow")

    seq: int
    type: str
    data: dict[str, Any] = {}
    created_at: datetime | None = None


Upload.model_rebuild()
