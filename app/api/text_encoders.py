"""Which text encoders a spec may name: the allow-list, as the API can know it without loading any."""

import os
from pathlib import Path

from app.api.schemas.method import ModelInfo
from app.domain.problems import Invalid
from app.domain.specs import SampleSpec
from app.domain.text_models import PACKAGED, ROLE, licence
from app.settings import Settings
from models.classifiers.spec import ClassifierSpec
from models.gelda.spec import GeldaSpec
from models.semantics.spec import DescriptionVectors, NameVectors


def text_encoders(settings: Settings) -> list[ModelInfo]:
    """Return the packaged encoder and the operator's own: the folders in `Settings.models`."""
    folders = filter(None, settings.models.split(os.pathsep))
    own = {path.parent.name for folder in folders for path in Path(folder).glob("*/config.json")}
    return [
        ModelInfo(id=name, role=ROLE, licence=licence(name))
        for name in (PACKAGED, *sorted(own - {PACKAGED}))
    ]


def check_models(settings: Settings, spec: GeldaSpec | SampleSpec | ClassifierSpec) -> None:
    """Refuse a model that is not on the list; a name is never taken for a path or an address.

    Raises:
        Invalid: ``model_not_allowed``.
    """
    if not isinstance(spec, GeldaSpec):
        return
    allowed = [model.id for model in text_encoders(settings)]
    for field, source in (("classes", spec.classes), ("subdomains", spec.subdomains)):
        if isinstance(source, NameVectors | DescriptionVectors) and source.model not in allowed:
            raise Invalid(
                f"This text encoder is not on the service's list: {', '.join(allowed)}.",
                code="model_not_allowed",
                param=f"spec.{field}.model",
            )
