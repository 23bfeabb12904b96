"""Classifiers on images, a task each: those that validation chooses by, and those that are reported."""

import time
from collections.abc import Callable, Mapping
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
from models.images.spec import ImageClassifierSpec
from models.images.train import Source, fit
from models.seeds import derived_seed
from workers.pipelines.image_jobs import ImageJob
from workers.pipelines.training import resumed, step_by_step, whole_seconds
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


@dataclass(frozen=True)
class Lesson:
    """What a classifier is trained with.

    Attributes:
        x: uint8 `n side side 3`.
        y: classes, `n`.
        spec: of the classifier.
        source: of synthetic images in place of real ones, by a coin for each.
        probability: of each coin.
    """

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int64]
    spec: ImageClassifierSpec
    source: Source | None = None
    probability: float = 0.0


Teach = Callable[[str, ImageSetting], Lesson]
"""What the classifier of an arm is trained with at a setting."""


def search_classifier(job: ImageJob, teach: Teach) -> Effects:
    """Train a classifier at one setting of one arm, and say what it is worth on `val`."""
    task, payload = job.task, job.task.claim.payload
    fitted = fit_lesson(job, teach(payload["arm"], payload["setting"]), seed=0)
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


def report_classifier(job: ImageJob, teach: Teach, *, searched: bool) -> Effects:
    """Train one classifier of one arm at its chosen setting; keep what it says of held-out images.

    Args:
        job: its task's payload names arm, setting and number of the seed.
        teach: what it is trained with.
        searched: whether the one that validation chose by was trained with the very same: then it
            stands, where its weights were kept.
    """
    payload = job.task.claim.payload
    arm, seed = payload["arm"], payload["seed"]
    known = _searched(job) if searched else None
    fitted = known or fit_lesson(job, teach(arm, payload["setting"]), seed=seed)
    result = {"arm": arm, "seed": seed, "seconds": fitted.seconds} | _said(job, fitted.classifier)
    if arm in job.handed_out:
        result["files"] = job.task.keep_folder(_saved(job.task, fitted.classifier))
    return Effects(result=result)


def fit_lesson(job: ImageJob, lesson: Lesson, *, seed: int) -> Fitted:
    """Train a classifier; `seed` is its number among those of its arm."""
    task, spec = job.task, lesson.spec
    began, first = time.monotonic(), 0

    def train(resume: Path | None, step: int) -> ImageClassifier:
        nonlocal first
        first = step
        return fit(
            lesson.x,
            lesson.y,
            len(job.classes),
            spec,
            # The same seeds for every arm: they are compared in pairs.
            derived_seed("classifier", task.claim.seed, seed),
            source=lesson.source,
            probability=lesson.probability if lesson.source is not None else 0.0,
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


def _said(job: ImageJob, classifier: ImageClassifier) -> dict[str, Any]:
    """Return where predictions on `test` and `val` are kept, and the score on `val`; nothing without them."""
    if not job.evaluate.enabled:
        return {}
    val, test = job.part("val"), job.part("test")
    logits = classifier.logits(val.x)
    path = job.task.scratch / "said.npz"
    np.savez(path, val=logits.argmax(axis=1).astype(np.int64), test=classifier.predict(test.x))
    score = _score(job, logits, val.y)
    return {"said": job.task.keep(path).named, "log_score": score}


def _score(job: ImageJob, logits: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> float:
    return log_score(logits, y, balanced=job.evaluate.metric == "balanced_accuracy")


def predictions(task: TaskRun, result: Mapping[str, Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Return what a classifier said of `val` and of `test`."""
    with np.load(task.fetch(result["said"]["sha256"]), allow_pickle=False) as arrays:
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


def _saved(task: TaskRun, classifier: ImageClassifier) -> Path:
    folder = task.scratch / "classifier"
    classifier.save(folder)
    return folder
