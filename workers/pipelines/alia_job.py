"""What the stages of an ALIA job share: its spec, its descriptions, the models that have a part in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.alia.allowed import Role
from models.alia.catalogue import Found, find
from models.alia.spec import AliaSpec, EditorName
from models.errors import InputProblem
from models.evaluation.arms import ALIA, REAL
from models.images.classifier import ImageClassifier
from models.images.spec import ImageClassifierSpec
from models.raw.dataset import RawDataset
from models.raw.image import decode_image
from models.raw.problem import ItemProblem
from models.seeds import derived_seed
from workers.pipelines.embedding import open_raw
from workers.pipelines.image_classifiers import load_classifier
from workers.pipelines.image_jobs import ImageJob
from workers.task import TaskRun

MAKERS: Mapping[str, str] = {"edit": ALIA.name, "text_to_image": "text_to_image"}
"""What makes images, and the arm that trains with them."""

Picture = npt.NDArray[np.uint8]

Wanted = tuple[str, Role, EditorName | None]
"""Name of a model, what it is needed for, and of an editor which one it is to be the weights of."""


class AliaJob(ImageJob):
    """An image job, and ALIA's spec."""

    method = ALIA
    handed_out = (ALIA.name, REAL)

    def __init__(self, task: TaskRun) -> None:
        super().__init__(task)
        self.spec = AliaSpec.model_validate(task.claim.spec)

    @property
    def classifier(self) -> ImageClassifierSpec:
        return self.spec.classifier

    @property
    def descriptions(self) -> tuple[str, ...]:
        """The domains: those that a person has left of the proposed ones, or the proposed ones."""
        said: list[str] | None = self.task.claim.review["descriptions"]
        proposed: list[str] = self.task.claim.earlier["summarise"][0]["descriptions"]
        return tuple(said or proposed)

    @property
    def rejected(self) -> frozenset[str]:
        """Items that a person does not want."""
        return frozenset(self.task.claim.review["rejected"])

    def found(self, field: str) -> Found:
        """Return the model that a field names; `prepare` has seen it, but another machine may lack it."""
        name, role, editor = wanted_models(self.spec)[field]
        return find(name, role, field, editor)

    def folds(self) -> list[ImageClassifier]:
        """Return the classifiers of the real images, by the fold that each has not seen."""
        results = sorted(self.task.claim.earlier.get("folds", []), key=lambda one: int(one["fold"]))
        keys = (blob["sha256"] for one in results for blob in one["files"].values())
        return self.task.shelf.get(
            ("folds", self.task.tenant, self.task.device, *keys),
            lambda: [load_classifier(self.task, one["files"]) for one in results],
        )


def wanted_models(spec: AliaSpec) -> dict[str, Wanted]:
    """Return name, role and editor of each model that a job needs, by the field that names it."""
    found: dict[str, Wanted] = {}
    if spec.descriptions is None:
        found["captions.model"] = (spec.captions.model, "captioner", None)
        if spec.summarise.model is not None:
            found["summarise.model"] = (spec.summarise.model, "language", None)
    found["edit.model"] = (spec.editor_model, "editor", spec.edit.editor)
    if spec.text_to_image is not None:
        found["text_to_image"] = (spec.text_to_image, "editor", "txt2img")
    if sees_text(spec):
        found["filters.semantic.model"] = (spec.filters.semantic.model, "image_text", None)
    return found


def sees_text(spec: AliaSpec) -> bool:
    """Whether the job needs an image-text model."""
    return spec.avoid_own or spec.filters.semantic.switch != "off"


def fold_numbers(y: npt.NDArray[np.int64], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each training image, `n`: the images of a class evenly over all, at random."""
    drawn = np.random.default_rng(derived_seed("folds", seed))
    found = np.empty(len(y), np.int64)
    for label in np.unique(y):
        rows = drawn.permutation(np.flatnonzero(y == label))
        found[rows] = (np.arange(len(rows)) + drawn.integers(folds)) % folds
    return found


class Originals:
    """The dataset's images at their own size, by row."""

    def __init__(self, task: TaskRun) -> None:
        self._data: RawDataset = open_raw(task, task.claim.inputs["dataset"])

    def __getitem__(self, row: int) -> Picture:
        """Return uint8 (height, width, 3).

        Raises:
            InputProblem: the image does not decode here.
        """
        try:
            return np.asarray(decode_image(self._data.item(row)))
        except ItemProblem as problem:
            detail = f"The image of row {row}, which ingest had taken, {problem.detail}."
            raise InputProblem(problem.code, detail, "dataset") from problem


def facts_of(found: Found, role: str) -> dict[str, Any]:
    """Return what a report tells of a model."""
    return {
        "id": found.id,
        "role": role,
        "licence": found.licence,
        "kind": found.kind,
        "revision": found.revision,
    }
