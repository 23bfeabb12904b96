"""GLICO's classifiers, a task each: those that validation chooses by, and those that are reported."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects
from models.evaluation.image_settings import ImageSetting
from models.evaluation.metrics import measure
from models.images.classifier import ImageClassifier
from models.images.scoring import log_score
from models.images.train import fit
from models.seeds import derived_seed
from workers.pipelines.glico_arms import (
    HANDED_OUT,
    classifier_of,
    probability_of,
    source_of,
)
from workers.pipelines.glico_training import ImageJob, whole_seconds
from workers.pipelines.image_shards import load_image_generator
from workers.pipelines.training import resumed, step_by_step
from workers.task import TaskRun

KEPT_BYTES = 1 << 23
"""Weights of a candidate that are worth keeping: of larger ones, the one that is chosen is trained again
rather than all of them stored."""


@dataclass(frozen=True)
class Fitted:
    """A classifier and what it took.

    Attributes:
        seconds: of a whole training at this worker's pace.
    """

    classifier: ImageClassifier
    seconds: float


def search(task: TaskRun) -> Effects:
    """Train a classifier at one setting of one arm, and say what it is worth on `val`."""
    job, payload = ImageJob(task), task.claim.payload
    fitted = _fit(job, payload["arm"], payload["setting"], seed=0)
    val, n = job.part("val"), len(job.classes)
    logits = fitted.classifier.logits(val.x)
    right = (logits.argmax(axis=1) == val.y)[None]
    result = {
        "arm": payload["arm"],
        "setting": payload["setting"],
        "score": _score(job, logits, val.y),
        "value": measure(right, val.y, n, job.evaluate.metric),
        "seconds": fitted.seconds,
    }
    folder = _saved(task, fitted.classifier)
    if sum(path.stat().st_size for path in folder.iterdir()) <= KEPT_BYTES:
        result["files"] = task.keep_folder(folder)
    return Effects(result=result)


def classify(task: TaskRun) -> Effects:
    """Train one classifier of one arm at its chosen setting; keep what it says of held-out images.

    The first of each arm is the one that validation chose by: where its weights were kept, they stand.
    """
    job, payload = ImageJob(task), task.claim.payload
    arm, seed = payload["arm"], payload["seed"]
    fitted = _searched(job) or _fit(job, arm, payload["setting"], seed=seed)
    result = {"arm": arm, "seed": seed, "seconds": fitted.seconds} | _said(job, fitted.classifier)
    if arm in HANDED_OUT:
        result["files"] = task.keep_folder(_saved(task, fitted.classifier))
    return Effects(result=result)


def _said(job: ImageJob, classifier: ImageClassifier) -> dict[str, Any]:
    """Return where predictions on `test` and `val` are kept, and the score on `val`; nothing without them."""
    if not job.evaluate.enabled:
        return {}
    val, test = job.part("val"), job.part("test")
    logits = classifier.logits(val.x)
    path = job.task.scratch / "said.npz"
    np.savez(path, val=logits.argmax(axis=1).astype(np.int64), test=classifier.predict(test.x))
    score = _score(job, logits, val.y)
    return {"said": job.task.keep(path).sha256, "log_score": score}


def _score(job: ImageJob, logits: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> float:
    return log_score(logits, y, balanced=job.evaluate.metric == "balanced_accuracy")


def predictions(task: TaskRun, result: Mapping[str, Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Return what a classifier said of `val` and of `test`."""
    with np.load(task.fetch(result["said"]), allow_pickle=False) as arrays:
        return {"val": arrays["val"], "test": arrays["test"]}


def load_classifier(task: TaskRun, files: Mapping[str, Mapping[str, Any]]) -> ImageClassifier:
    """Return a classifier that an earlier stage has kept."""
    return ImageClassifier.load(task.fetch_folder(files, "kept"), task.device)


def _searched(job: ImageJob) -> Fitted | None:
    """Return the classifier that `search` has trained with the very same arguments, if it was kept."""
    task, payload = job.task, job.task.claim.payload
    for found in task.claim.earlier.get("search", []) if payload["seed"] == 0 else []:
        same = (found["arm"], found["setting"]) == (payload["arm"], payload["setting"])
        if same and "files" in found:
            return Fitted(load_classifier(task, found["files"]), found["seconds"])
    return None


def _fit(job: ImageJob, arm: str, setting: ImageSetting, *, seed: int) -> Fitted:
    task, real, n = job.task, job.train, len(job.classes)
    spec = classifier_of(arm, setting, job.spec.classifier)
    x = np.array(real.x)
    probability = probability_of(arm, setting)
    source = None
    if probability:
        files = task.claim.earlier["train"][0]["generator"]
        source = source_of(
            arm, job.spec, x, real.y, n, lambda: load_image_generator(task, files), task.device
        )
    began, first = time.monotonic(), 0

    def train(resume: Path | None, step: int) -> ImageClassifier:
        nonlocal first
        first = step
        return fit(
            x,
            real.y,
            n,
            spec,
            # The same seeds for every arm: they are compared in pairs.
            derived_seed("classifier", task.claim.seed, seed),
            source=source,
            probability=probability if source is not None else 0.0,
            classes=job.classes,
            device=task.device,
            resume=resume,
            scratch=task.scratch,
            on_checkpoint=task.checkpoint,
            should_stop=step_by_step(task, spec.steps, step),
            batch_rows=task.batch(spec.batch_size),
        )

    classifier = resumed(task, train)
    return Fitted(classifier, whole_seconds(time.monotonic() - began, spec.steps, first))


def _saved(task: TaskRun, classifier: ImageClassifier) -> Path:
    folder = task.scratch / "classifier"
    classifier.save(folder)
    return folder
