"""GLICO's stages before there are classifiers: the images are read and parted, the generator is trained."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects, NewTask
from models.errors import InputProblem
from models.evaluation.arms import GLICO
from models.evaluation.spec import EvaluateSpec
from models.glico import method
from models.glico.generator import Generator
from models.glico.losses import Distance, laplacian
from models.glico.perceptual import PARAM, load
from models.glico.spec import GlicoSpec
from models.images.rows import natural_side
from models.images.spec import ImageClassifierSpec
from models.planning.rows import cell_rows
from models.planning.spec import PlanSpec
from workers.pipelines.datasets import evaluation_of, manifest_of
from workers.pipelines.embedding import at_hand
from workers.pipelines.glico_arms import HANDED_OUT, arms_of, candidates
from workers.pipelines.image_jobs import ImageJob, keep_images, open_images
from workers.pipelines.image_parts import ids_of, write_rows
from workers.pipelines.training import resumed, step_by_step, whole_seconds
from workers.task import TaskRun

ROWS_FILE = "rows.parquet"
"""Beside a generator's files: which rows of the dataset its training images are."""


def prepare(task: TaskRun) -> Effects:
    """Part the rows, read their images once, plan a classifier for each setting to look at."""
    spec, evaluate = GlicoSpec.model_validate(task.claim.spec), evaluation_of(task)
    opened = open_images(task, GLICO)
    refuse_without_pairs(opened.counts)
    planned_images(
        spec.plan, opened.data.classes, opened.counts
    )  # refuses a plan at fault before all the training
    models = _models_at_hand(task, spec)
    result = keep_images(task, opened, spec.size or natural_side(opened.data))
    return Effects(result=result | {"models": models}, plan=_searches(spec, evaluate))


def _searches(spec: GlicoSpec, evaluate: EvaluateSpec) -> tuple[NewTask, ...]:
    """Return a task for each setting that validation looks at; an arm of one setting has no choice."""
    if not evaluate.enabled:
        return ()
    points = [(arm, candidates(arm, spec, evaluate)) for arm in arms_of(spec, evaluate)]
    open_ = [
        (arm, setting) for arm, settings in points if len(settings) > 1 for setting in settings
    ]
    return tuple(
        NewTask("search", number, {"arm": arm, "setting": dict(setting)})
        for number, (arm, setting) in enumerate(open_)
    )


def refuse_without_pairs(counts: npt.NDArray[np.int64]) -> None:
    """Refuse classes of which none has two training images.

    Raises:
        InputProblem: ``too_few_images``.
    """
    if counts.max(initial=0) < 2:
        raise InputProblem(
            "too_few_images",
            f"No class has two training images ({counts.sum()} in {len(counts)} classes); an image is "
            "made of two of one class. Bring more, or switch evaluate off, which sets images aside.",
            "dataset",
        )


def planned_images(
    plan: PlanSpec, classes: tuple[str, ...] | list[str], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
    """Return how many images of each class to make, and what is asked for of classes without a pair.

    Raises:
        InputProblem: the plan names a class that is not there, or asks for too many.
    """
    asked = cell_rows(plan, classes, (), counts.tolist())
    paired = counts >= 2
    skipped = {classes[label]: int(asked[label]) for label in np.flatnonzero(~paired & (asked > 0))}
    return np.where(paired, asked, 0), skipped


def _models_at_hand(task: TaskRun, spec: GlicoSpec) -> list[dict[str, str]]:
    """Return the foreign models that have a part in the job, fetched if need be, with their licences."""
    named = (
        (spec.reconstruction.perceptual, PARAM, "perceptual loss of the generator's training"),
        (spec.classifier.backbone, "classifier.backbone", "backbone of the classifiers"),
    )
    found = [(at_hand(task, name, param), role) for name, param, role in named if name is not None]
    return [{"id": one.id, "role": role, "licence": one.licence} for one, role in found]


class GlicoJob(ImageJob):
    """An image job, and GLICO's spec."""

    method = GLICO
    handed_out = HANDED_OUT

    def __init__(self, task: TaskRun) -> None:
        super().__init__(task)
        self.spec = GlicoSpec.model_validate(task.claim.spec)

    @property
    def classifier(self) -> ImageClassifierSpec:
        return self.spec.classifier

    @property
    def external_weights(self) -> dict[str, Any]:
        """Say whether weights that were trained on other data are allowed, and which had a part."""
        return super().external_weights | {"allowed": self.spec.reconstruction.external_weights}


def train(task: TaskRun) -> Effects:
    """Train codes and generator on the training images alone."""
    job = GlicoJob(task)
    settings = method.resolve(
        job.spec.reconstruction, n=len(job.train.y), side=job.side, device=task.device
    )
    steps, batch = settings.steps or 0, settings.batch_size or 0
    began, first = time.monotonic(), 0

    def fit(resume: Path | None, step: int) -> Generator:
        nonlocal first
        first = step
        return _trained(job, steps, batch, resume, step)

    generator = resumed(task, fit)
    seconds = whole_seconds(time.monotonic() - began, steps, first)
    folder = task.scratch / "generator"
    generator.save(folder)
    ids = ids_of(task.fetch(manifest_of(task)["columns"]["id"]["sha256"]), job.train.rows)
    write_rows(folder / ROWS_FILE, job.train.rows, ids)
    told = {"models": job.result["models"], "external_weights": job.external_weights}
    return Effects(
        result={
            "generator": task.keep_folder(folder),
            "config": generator.config | told,
            "compute": {"steps": steps, "images": steps * batch, "seconds": seconds},
        }
    )


def _trained(job: GlicoJob, steps: int, batch: int, resume: Path | None, step: int) -> Generator:
    task, (distance, name) = job.task, _distance(job)
    return method.train(
        job.train.x,
        job.train.y,
        classes=job.classes,
        spec=job.spec,
        seed=task.claim.seed,
        scratch=task.scratch,
        distance=distance,
        loss_name=name,
        device=task.device,
        resume=resume,
        on_checkpoint=task.checkpoint,
        should_stop=step_by_step(task, steps, step),
        batch_size=task.batch(batch),
    )


def _distance(job: GlicoJob) -> tuple[Distance, str]:
    """Return the reconstruction loss, and what the generator's config calls it."""
    model = job.spec.reconstruction.perceptual
    if model is None:
        return laplacian, "laplacian"
    distance, found = load(model, job.side, job.task.device)
    return distance, f"perceptual:{found.id}"
