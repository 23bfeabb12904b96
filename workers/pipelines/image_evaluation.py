"""What `evaluate` stages of jobs on images have in common: parts as rows, what arms said, the report's files."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation.arms import REAL
from models.evaluation.data import EvaluationData, LabelledRows
from models.evaluation.image_settings import ImageChoice, ImageSetting
from models.evaluation.images import ImageArm, image_rows, measured
from models.evaluation.pictures import Picture
from models.evaluation.result import Result
from models.images.classifier import ImageClassifier
from models.images.novelty import nearest_ratio
from models.images.spec import ImageClassifierSpec
from workers.pipelines.image_classifiers import load_classifier, predictions
from workers.pipelines.image_jobs import ImageJob
from workers.pipelines.image_parts import ImagePart
from workers.task import TaskRun

COMPARED = 512
"""Images, of all classes together, that are compared with training images pixel by pixel."""

LEAST_MEASURED = 20
"""Synthetic images of a class whose features are computed where fewer are held out."""

Made = Iterable[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]
"""Synthetic images, a block after the other: uint8 `n side side 3`, and their classes."""

SpecOf = Callable[[str, ImageSetting], ImageClassifierSpec]
"""The classifier of an arm at a setting."""

Shown = Callable[[str, ImageSetting, ImageClassifierSpec], int]
"""How many synthetic images a training of an arm shows."""


class Steps:
    """Progress in steps of which nobody knows how many there are: shown as a share that only grows."""

    def __init__(self, task: TaskRun) -> None:
        self._task, self._done = task, 0

    def __call__(self) -> None:
        self._done += 1
        self._task.progress(self._done / (self._done + 100), 1.0)
        self._task.stop_here()


def fitted(task: TaskRun, arm: str) -> list[dict[str, Any]]:
    """Return the results of an arm's classifiers, by seed."""
    found = [one for one in task.claim.earlier["classify"] if one["arm"] == arm]
    return sorted(found, key=lambda one: int(one["seed"]))


def cost_of(job: ImageJob, choice: ImageChoice, arm: str, synthetic: int) -> dict[str, Any]:
    """Return what the classifiers of an arm have cost; one training of it showed so many synthetic images.

    Seconds are wall time of whoever worked on it, of a training that was resumed as at the pace of its
    last attempt: of all that a report says, they alone are not the same when a job is repeated.
    """
    spec, found = job.classifier, fitted(job.task, arm)
    return {
        "classifier_steps": spec.steps,
        "classifier_images": spec.steps * spec.batch_size,
        "synthetic_images": synthetic,
        "settings_tried": max(1, sum(trial.arm == arm for trial in choice.trials)),
        "trainings": len(found),
        "seconds_a_training": round(float(np.mean([one["seconds"] for one in found])), 2),
    }


def classifier_on_real(task: TaskRun) -> ImageClassifier:
    """Return the first classifier that saw real images only, whose features everything is compared by."""
    return load_classifier(task, fitted(task, REAL)[0]["files"])


_ROWS_AT_ONCE = 2048


def rows_of_part(real: ImageClassifier, part: ImagePart, steps: Steps) -> LabelledRows:
    return image_rows(
        features_of(real, part.x, steps),
        part.y,
        images=np.asarray(part.x),
        group=part.group,
        subdomain=part.subdomain,
    )


def features_of(
    real: ImageClassifier, x: npt.NDArray[np.uint8], steps: Steps
) -> npt.NDArray[np.float32]:
    """Return features of images, some at a time: it may take longer than a task may be silent."""
    found = [real.features(x[:0])]
    for start in range(0, len(x), _ROWS_AT_ONCE):
        found.append(real.features(x[start : start + _ROWS_AT_ONCE]))
        steps()
    return np.concatenate(found)


def measured_images(
    job: ImageJob,
    real: ImageClassifier,
    choice: ImageChoice,
    steps: Steps,
    *,
    spec_of: SpecOf,
    shown: Shown,
    subdomains: tuple[str, ...] = (),
) -> Result:
    """Compare the arms on held-out images, by subdomain where these are named."""
    train, val, test = (
        rows_of_part(real, job.part(name), steps) for name in ("train", "val", "test")
    )
    return measured(
        EvaluationData(train, val, test, job.classes, subdomains),
        _arms(job, choice, spec_of, shown),
        choice,
        method=job.method,
        metric=job.evaluate.metric,
        candidates=job.handed_out,
    )


def _arms(job: ImageJob, choice: ImageChoice, spec_of: SpecOf, shown: Shown) -> dict[str, ImageArm]:
    arms = {}
    for arm, setting in choice.settings.items():
        found = fitted(job.task, arm)
        said = [predictions(job.task, one) for one in found]
        spec = spec_of(arm, setting)
        arms[arm] = ImageArm(
            on_test=np.stack([one["test"] for one in said]),
            on_val=np.stack([one["val"] for one in said]),
            spec=spec.model_dump(mode="json"),
            log_score=float(np.mean([one["log_score"] for one in found])),
            synthetic=shown(arm, setting, spec),
        )
    return arms


def synthetic_rows(
    job: ImageJob, real: ImageClassifier, data: EvaluationData, made: Made, steps: Steps
) -> LabelledRows:
    """Return the images handed out as rows of features, as many of a class as can be compared: its first."""
    n = len(job.classes)
    held_out = [np.bincount(part.y, minlength=n) for part in (data.val, data.test)]
    left = np.maximum(np.max(held_out, axis=0), LEAST_MEASURED)
    x, y = [real.features(job.train.x[:0])], [np.empty(0, np.int64)]
    for images, labels in made:
        rows = first_of_each(labels, left)
        left = left - np.bincount(labels[rows], minlength=n)
        x.append(features_of(real, images[rows], steps))
        y.append(labels[rows])
    return LabelledRows(np.concatenate(x), np.concatenate(y))


def first_of_each(
    labels: npt.NDArray[np.int64], most: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the rows of each class's first items, at most ``most`` of it, in order."""
    found = [np.flatnonzero(labels == label)[: most[label]] for label in np.unique(labels)]
    return np.sort(np.concatenate([*found, np.empty(0, np.int64)])).astype(np.int64)


def novelty_in_pixels(job: ImageJob, made: Made, steps: Steps) -> float | None:
    """Return how near a few images of each class come to training images, beside held-out ones."""
    n = len(job.classes)
    most = np.full(n, max(1, COMPARED // n))
    test, left, found = job.part("test"), most, [np.empty((0, job.side, job.side, 3), np.uint8)]
    for images, labels in made:
        rows = first_of_each(labels, left)
        left = left - np.bincount(labels[rows], minlength=n)
        found.append(images[rows])
    held_out = test.x[first_of_each(test.y, most)]
    steps()
    ratio = nearest_ratio(np.concatenate(found), held_out, job.train.x)
    return None if ratio is None else round(ratio, 4)


def report_folder(
    task: TaskRun,
    pictures: Mapping[str, Picture],
    report: Mapping[str, Any] | None = None,
    page: str = "",
) -> Path:
    """Return a folder with the pictures by file name and, where there is one, the report in both its forms."""
    folder = task.scratch / "report"
    folder.mkdir()
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture.png)
    if report is not None:
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        (folder / "report.html").write_text(page, encoding="utf-8")
    return folder
