"""Which foundation models a spec may name: the allow-list, as the API can know it without loading any."""

import os
from collections.abc import Iterator
from pathlib import Path

from app.api.schemas.method import ModelInfo
from app.domain.problems import Invalid
from app.domain.specs import AliaSpec, EmbedSpec, GlicoSpec, RequestedSpec
from app.settings import Settings
from models.alia import allowed as alia
from models.alia.spec import CAPTIONER, EDITORS, IMAGE_TEXT, LANGUAGE_MODEL, EditorName
from models.encoders.allowed import ALLOWED, PACKAGED, Allowed
from models.gelda.spec import GeldaSpec
from models.semantics.spec import DescriptionVectors, NameVectors

_OF_ITS_FOLDER = "as in its folder"

_BACKBONE = "backbone of a classifier"
_ROLES: dict[alia.Role, str] = {
    "captioner": "captioner",
    "language": "language model",
    "image_text": "image-text model",
    "editor": "editor",
}
_MARKERS = ("config.json", "model_index.json")
"""What a folder has that is a model of transformers, or a pipeline of diffusers."""

_DEFAULTS = {
    CAPTIONER: ["captions.model"],
    LANGUAGE_MODEL: ["summarise.model"],
    IMAGE_TEXT: ["filters.semantic.model"],
}


def encoders(settings: Settings) -> list[ModelInfo]:
    """Return what may be named: the packaged text encoder, the operator's folders, what can be pulled."""
    own = _own(settings)
    hub = [one for one in ALLOWED.values() if one.id not in own]
    return [
        ModelInfo(id=PACKAGED, role="encoder of text", licence="Apache-2.0"),
        *(
            ModelInfo(id=name, role="encoder", licence=_OF_ITS_FOLDER)
            for name in sorted(own - {PACKAGED})
        ),
        *(ModelInfo(id=one.id, role=_role(one), licence=one.licence) for one in hub),
    ]


def image_models(settings: Settings) -> list[ModelInfo]:
    """Return what a `glico` spec may name; what an operator's folder is, is seen when it is used."""
    own = _own(settings) - {PACKAGED}
    hub = [one for one in ALLOWED.values() if "image" in one.modalities and one.id not in own]
    role = "backbone of a classifier, or VGG-16 for the perceptual loss"
    return [
        *(ModelInfo(id=name, role=role, licence=_OF_ITS_FOLDER) for name in sorted(own)),
        *(
            ModelInfo(id=one.id, role="backbone of a classifier, from the hub", licence=one.licence)
            for one in hub
        ),
    ]


def editing_models(settings: Settings) -> list[ModelInfo]:
    """Return what an `alia` spec may name, its defaults first, with licence and memory."""
    own = _own(settings, *_MARKERS)
    hub = sorted(alia.ALLOWED.values(), key=lambda one: not _default_of(one))
    backbones = [one for one in image_models(settings) if one.id not in {*own, *alia.ALLOWED}]
    return [
        *(_of_alia(one) for one in hub if one.id not in own),
        *(
            ModelInfo(id=name, role="the operator's own", licence=_OF_ITS_FOLDER)
            for name in sorted(own)
        ),
        *(one.model_copy(update={"role": f"{_BACKBONE}, from the hub"}) for one in backbones),
    ]


def _of_alia(model: alia.Allowed) -> ModelInfo:
    role = _ROLES[model.role]
    if model.editors:
        role = f"{role}: {', '.join(model.editors)}"
    if model.id in ALLOWED:
        role = f"{role}, {_BACKBONE}"
    return ModelInfo(
        id=model.id,
        role=f"{role}, from the hub",
        licence=model.licence,
        memory_megabytes=model.memory_megabytes,
        default_of=_default_of(model),
    )


def _default_of(model: alia.Allowed) -> tuple[str, ...]:
    editors = (f"edit.model of {editor}" for editor, name in EDITORS.items() if name == model.id)
    return (*_DEFAULTS.get(model.id, ()), *editors)


def _own(settings: Settings, *markers: str) -> set[str]:
    """Return the names of the operator's folders that have one of the files ``markers``."""
    folders = [Path(one) for one in filter(None, settings.models.split(os.pathsep))]
    return {
        path.parent.name
        for folder in folders
        for marker in markers or _MARKERS[:1]
        for path in folder.glob(f"*/{marker}")
    }


def _role(model: Allowed) -> str:
    return f"encoder of {' and '.join(model.modalities)}, from the hub"


def _of_text(settings: Settings) -> list[str]:
    """Return what may make vectors of names; what an operator's folder reads is seen when it is used."""
    return [
        one.id
        for one in encoders(settings)
        if one.id not in ALLOWED or "text" in ALLOWED[one.id].modalities
    ]


def check_models(settings: Settings, spec: RequestedSpec) -> None:
    """Refuse a model that is not on the list; a name is never taken for a path or an address.

    Raises:
        Invalid: ``model_not_allowed``.
    """
    for field, model, allowed in _named(settings, spec):
        if model not in allowed:
            raise Invalid(
                f"This model is not on the service's list: {', '.join(allowed) or 'none'}.",
                code="model_not_allowed",
                param=f"spec.{field}",
            )


def _named(settings: Settings, spec: RequestedSpec) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the field, the model it names, and those it may name."""
    if isinstance(spec, EmbedSpec | GeldaSpec) and spec.encoder is not None:
        yield "encoder.model", spec.encoder.model, [one.id for one in encoders(settings)]
    if isinstance(spec, GeldaSpec):
        for field, source in (("classes", spec.classes), ("subdomains", spec.subdomains)):
            if isinstance(source, NameVectors | DescriptionVectors):
                yield f"{field}.model", source.model, _of_text(settings)
    if isinstance(spec, GlicoSpec):
        backbone, perceptual = spec.classifier.backbone, spec.reconstruction.perceptual
        allowed = [one.id for one in image_models(settings)]
        if backbone is not None:
            yield "classifier.backbone", backbone, allowed
        if perceptual is not None:
            yield "reconstruction.perceptual", perceptual, allowed
    if isinstance(spec, AliaSpec):
        yield from _named_by_alia(settings, spec)


def _named_by_alia(settings: Settings, spec: AliaSpec) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the models that a job of this spec would load, and no other that the spec may name."""
    own = sorted(_own(settings, *_MARKERS))

    def of(role: alia.Role, editor: EditorName | None = None) -> list[str]:
        listed = [one for one in alia.ALLOWED.values() if one.role == role]
        return [*own, *(one.id for one in listed if editor is None or editor in one.editors)]

    if spec.descriptions is None:
        yield "captions.model", spec.captions.model, of("captioner")
        if spec.summarise.model is not None:
            yield "summarise.model", spec.summarise.model, of("language")
    yield "edit.model", spec.editor_model, of("editor", spec.edit.editor)
    if spec.text_to_image is not None:
        yield "text_to_image", spec.text_to_image, of("editor", "txt2img")
    semantic = spec.filters.semantic
    if spec.avoid_own or semantic.switch != "off":
        yield "filters.semantic.model", semantic.model, of("image_text")
    if spec.classifier.backbone is not None:
        allowed = [one.id for one in image_models(settings)]
        yield "classifier.backbone", spec.classifier.backbone, allowed
