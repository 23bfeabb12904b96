"""Artifacts and trained models: what jobs make."""

from datetime import datetime
from typing import Any

from app.api.schemas.base import View


class ArtifactView(View):
    """A file of a job's result."""

    id: str
    job_id: str
    name: str
    sha256: str
    bytes: int
    media_type: str
    created_at: datetime


class ModelFile(View):
    """One file of a trained model."""

    sha256: str
    bytes: int


class ModelView(View):
    """A trained generator or classifier."""

    id: str
    job_id: str
    """The job that trained it."""

    files: dict[str, ModelFile]
    """safetensors, configuration and card, by name; each at `/files/{name}`."""

    config: dict[str, Any]
    """Method, classes and dimensions."""

    created_at: datetime
