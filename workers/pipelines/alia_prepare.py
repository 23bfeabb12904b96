"""ALIA's first stage: the images are read and parted, the models seen to be at hand, captions and folds planned."""

from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects, NewTask
from models.alia import descriptions
from models.alia.editing.prompts import prompts
from models.alia.spec import AliaSpec
from models.errors import InputProblem
from models.evaluation.arms import ALIA
from models.evaluation.spec import EvaluateSpec
from models.images.rows import natural_side, read_images
from models.images.spec import ImageSide
from models.planning.rows import cell_rows
from workers.pipelines.alia_arms import makers_of
from workers.pipelines.alia_job import facts_of, wanted_models
from workers.pipelines.alia_models import alia_model
from workers.pipelines.datasets import evaluation_of
from workers.pipelines.embedding import at_hand, open_raw
from workers.pipelines.image_jobs import Opened, keep_images, open_images
from workers.pipelines.training import step_by_step
from workers.task import TaskRun

CAPTIONS_A_TASK = 512
"""Images that one task captions, about: minutes of one core with a large captioner."""


def prepare(task: TaskRun) -> Effects:
    """Part the rows, read their images once; plan captions and the folds of the confidence filter."""
    spec, evaluate = AliaSpec.model_validate(task.claim.spec), evaluation_of(task)
    opened = open_images(task, ALIA)
    classes = opened.data.classes
    if spec.descriptions is not None:
        descriptions.check(spec.descriptions, classes, "descriptions", spec.summarise.prefix)
    # Refused before hours of captions, not after.
    prompts(spec.edit.editor, spec.edit.template, spec.summarise.prefix, "edit.template")
    wanted, skipped = planned_edits(spec, classes, opened.counts)
    if not wanted.any():
        raise InputProblem(
            "empty_plan", "The plan asks for no edit of a class that has a training image.", "plan"
        )
    found = _models(task, spec, evaluate)
    side = spec.size or natural_side(opened.data)
    result = keep_images(task, opened, side) | {"models": found, "skipped": skipped}
    if spec.extra is not None and evaluate.enabled:
        result["extra"] = _extra(task, classes, side)
    return Effects(result=result, plan=(*_captions(spec, opened), *_folds(spec, opened)))


def planned_edits(
    spec: AliaSpec, classes: tuple[str, ...], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
    """Return how many edits of each class are asked for, and those of classes without an image to edit.

    Raises:
        InputProblem: the plan names a class that is not there, or asks for too many.
    """
    asked = cell_rows(spec.plan, classes, (), counts.tolist())
    there = counts > 0
    skipped = {classes[label]: int(asked[label]) for label in np.flatnonzero(~there & (asked > 0))}
    return np.where(there, asked, 0), skipped


def _models(task: TaskRun, spec: AliaSpec, evaluate: EvaluateSpec) -> list[dict[str, Any]]:
    """Return the foreign models that have a part in the job, fetched if need be."""
    found = []
    for field, (name, role, editor) in wanted_models(spec).items():
        if field == "text_to_image" and field not in makers_of(spec, evaluate):
            continue
        found.append(facts_of(alia_model(task, name, role, field, editor), role))
    if spec.classifier.backbone is not None:
        backbone = at_hand(task, spec.classifier.backbone, "classifier.backbone")
        found.append(
            {"id": backbone.id, "role": "backbone of the classifiers", "licence": backbone.licence}
        )
    return found


def _captions(spec: AliaSpec, opened: Opened) -> list[NewTask]:
    """Return the tasks that caption the training images: whole batches, so that nothing moves their cut."""
    if spec.descriptions is not None:
        return []
    batch, n = spec.captions.batch_size, len(opened.rows)
    shard = batch * max(1, CAPTIONS_A_TASK // batch)
    return [
        NewTask("caption", number, {"start": start, "stop": min(start + shard, n)})
        for number, start in enumerate(range(0, n, shard))
    ]


def _folds(spec: AliaSpec, opened: Opened) -> list[NewTask]:
    confidence = spec.filters.confidence
    if confidence.switch == "off":
        return []
    if len(opened.rows) < confidence.folds:
        raise InputProblem(
            "too_few_images",
            f"There are {len(opened.rows)} training images, too few for {confidence.folds} folds; switch "
            "the confidence filter off.",
            "filters.confidence.folds",
        )
    return [NewTask("folds", fold, {"fold": fold}) for fold in range(confidence.folds)]


def _extra(task: TaskRun, classes: tuple[str, ...], side: ImageSide) -> dict[str, Any]:
    """Read the further real images; return the blobs of their pixels and classes.

    Raises:
        InputProblem: ``unknown_class``: a class of theirs is not one of the dataset's.
    """
    data = open_raw(task, task.claim.inputs["extra"])
    rows = np.flatnonzero(data.y >= 0)
    unknown = sorted({data.classes[label] for label in np.unique(data.y[rows])} - set(classes))
    if unknown:
        raise InputProblem(
            "unknown_class",
            f"The extra images have the class {unknown[0]!r}, which is not one of the dataset's: "
            f"{', '.join(classes[:10])}{' …' if len(classes) > 10 else ''}.",
            "extra",
        )
    number = {name: label for label, name in enumerate(classes)}
    names = [data.classes[label] for label in data.y[rows]]
    folder = task.scratch / "extra"
    folder.mkdir()
    stop = step_by_step(task, len(rows))
    np.save(folder / "x.npy", read_images(data, rows, side, should_stop=stop))
    np.save(folder / "y.npy", np.array([number[name] for name in names], np.int64))
    return task.keep_folder(folder)
