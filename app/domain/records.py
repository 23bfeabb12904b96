"""The other nouns, as frozen rows: tenants, keys, uploads, datasets, artifacts, models, events."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

NOUNS = ("datasets", "jobs", "artifacts", "generators", "webhooks", "keys")
ALL_SCOPES = frozenset(f"{noun}:{verb}" for noun in NOUNS for verb in ("read", "write"))


@dataclass(frozen=True, slots=True)
class Tenant:
    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    tenant_id: str
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request speaks for."""

    tenant_id: str
    key_id: str
    scopes: frozenset[str]


class UploadState(StrEnum):
    RECEIVING = "receiving"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in.

    Attributes:
        sha256: what the client said the whole file has, if it did; once complete, what it has.
        blob: the blob's sha-256 once complete.
    """

    id: str
    tenant_id: str
    filename: str
    bytes: int
    part_bytes: int
    sha256: str | None
    state: UploadState
    created_at: datetime
    blob: str | None = None
    parts: tuple[Part, ...] = ()


class DatasetState(StrEnum):
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A validated, canonical, immutable set of rows.

    Attributes:
        job_id: the ingest job that makes it.
        manifest: the canonical form (`models.embeddings.canonical`); None until ready.
        stats: class counts, splits, subdomains, duplicates, rejected rows; None until ready.
    """

    id: str
    tenant_id: str
    name: str
    modality: str
    format: str
    state: DatasetState
    job_id: str
    created_at: datetime
    manifest: dict[str, Any] | None = None
    stats: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    id: str
    tenant_id: str
    job_id: str
    name: str
    sha256: str
    bytes: int
    media_type: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Model:
    """A trained generator or classifier; the two tables have the same columns."""

    id: str
    tenant_id: str
    job_id: str
    files: dict[str, dict[str, Any]]
    config: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job; ``seq`` grows and is the cursor."""

    seq: int
    job_id: str
    type: str
    data: dict[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
