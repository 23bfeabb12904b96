"""Methods: what kinds of job there are."""

from typing import Any

from app.api.schemas.base import View


class ModelInfo(View):
    """A pretrained model that a method may use."""

    id: str
    role: str
    """What it is used for."""

    licence: str
    """As its page or its folder states it."""

    memory_megabytes: int | None = None
    """About how much memory of a GPU its weights and a usual batch take; null where that is not known."""

    default_of: tuple[str, ...] = ()
    """Fields of the spec, or editors, that take it where a spec names none."""


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
