"""The kinds of job, with what a person wants to write in one call lifted to its place."""

from typing import Any, Literal

from pydantic import Field, model_validator

from cultivar.specs._base import Part
from cultivar.specs._generated import (
    AliaSpec,
    CellCount,
    ClassifierSpec,
    EmbedSpec,
    EvaluateSpec,
    GeldaSpec,
    GlicoSpec,
    PlanSpec,
    ReleaseSpec,
    SampleSpec,
)

PLAN_FIELDS = ("raise_to", "per_class", "match", "multiply", "cells")


class Request(Part):
    """What belongs to the job and not to its spec, yet is written beside it."""

    seed: int | None = Field(default=None, exclude=True)
    """Everything random in the job follows from it; 0 by default."""


class Evaluated(Request):
    evaluate: EvaluateSpec | bool | None = Field(default=None, exclude=True)
    """How the job measures itself; False leaves it out."""


class Planned(Part):
    """The fields of `plan`, written without it: ``raise_to=200`` is ``plan={"raise_to": 200}``."""

    raise_to: int | None = Field(default=None, exclude=True)
    """Raise every class to this many rows, real and synthetic together."""

    per_class: int | dict[str, int] | None = Field(default=None, exclude=True)
    """This many synthetic rows for each class, or by class name (others get none)."""

    match: Literal["largest", "median"] | None = Field(default=None, exclude=True)
    """Raise every class to the size of the largest, or of the median one."""

    multiply: float | None = Field(default=None, exclude=True)
    """This many synthetic rows for each real one."""

    cells: tuple[CellCount, ...] | None = Field(default=None, exclude=True)
    """These cells of class and subdomain alone."""

    @model_validator(mode="before")
    @classmethod
    def _lift(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        lifted = {name: data[name] for name in PLAN_FIELDS if data.get(name) is not None}
        if not lifted:
            return data
        if data.get("plan") is not None or len(lifted) > 1:
            given = ", ".join([*lifted, *(["plan"] if data.get("plan") is not None else [])])
            raise ValueError(
                f"exactly one of {', '.join(PLAN_FIELDS)} and plan is needed; found {given}"
            )
        return {**data, "plan": PlanSpec.model_validate(lifted)}


class Gelda(Planned, Evaluated, GeldaSpec):
    """Train a conditional latent diffusion model on a dataset and draw from it."""

    release_if: ReleaseSpec | None = Field(default=None, exclude=True)
    """What must hold for rows, generator and classifier to be handed out."""


class Glico(Planned, Evaluated, GlicoSpec):
    """Learn a generator of a few labelled images a class, and train a classifier with its images."""

    release_if: ReleaseSpec | None = Field(default=None, exclude=True)
    """What must hold for images, generator and classifier to be handed out."""


class Alia(Planned, Evaluated, AliaSpec):
    """Describe a dataset's domains, edit its images into them, and train a classifier with the edits."""

    release_if: ReleaseSpec | None = Field(default=None, exclude=True)
    """What must hold for edits and classifier to be handed out."""


class Sample(Planned, Request, SampleSpec):
    """Draw more from a generator that a job has trained, or is about to train."""

    plan: PlanSpec = Field(default=None, validate_default=True)
    """How many; may be written as `raise_to`, `per_class`, `match`, `multiply` or `cells` instead."""


class Classifier(Evaluated, ClassifierSpec):
    """Train a head on a dataset, with the outputs of augmentation jobs mixed in."""


class Embed(Request, EmbedSpec):
    """Make a dataset of embeddings of a raw one, with a frozen foundation model."""


Spec = Alia | Gelda | Glico | Sample | Classifier | Embed

KINDS: dict[str, type[Spec]] = {
    "alia": Alia,
    "classifier": Classifier,
    "embed": Embed,
    "gelda": Gelda,
    "glico": Glico,
    "sample": Sample,
}


def parse(value: dict[str, Any]) -> Spec:
    """Return the spec that a JSON object with a `kind` describes.

    Raises:
        ValueError: it describes none.
    """
    kind = value.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; there are {', '.join(sorted(KINDS))}")
    return KINDS[kind].model_validate(value)
