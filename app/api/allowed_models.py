"""Which foundation models a spec may name: the allow-list, as the API can know it without loading any."""

import os
from collections.abc import Iterator
from pathlib import Path

from app.api.schemas.method import ModelInfo
from app.domain.problems import Invalid
from app.domain.specs import EmbedSpec, GlicoSpec, RequestedSpec
from app.settings import Settings
from models.encoders.allowed import ALLOWED, PACKAGED, Allowed
from models.gelda.spec import GeldaSpec
from models.semantics.spec import DescriptionVectors, NameVectors

_OF_ITS_FOLDER = "as in its folder"


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


def _own(settings: Settings) -> set[str]:
    """Return the names of the operator's folders."""
    folders = filter(None, settings.models.split(os.pathsep))
    return {path.parent.name for folder in folders for path in Path(folder).glob("*/config.json")}


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
