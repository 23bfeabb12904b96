"""Methods: what kinds of job there are."""

from typing import Any

from app.api.schemas.base import View


class ModelInfo(View):
    """A pretrained model that a method may use."""

    id: str
    role: str
    licence: str


class MethodView(View):
    """A kind of job."""

    kind: str
    title: str
    description: str
    modalities: list[str]
    takes: list[str]
    gives: list[str]
    models: list[ModelInfo]
    """Pretrained models it may load, and their licences."""

    spec_schema: dict[str, Any]
    """JSON Schema of its spec."""


class Methods(View):
    data: list[MethodView]
