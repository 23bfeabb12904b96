"""GLICO's `evaluate` stage: what the arms' classifiers said, the report with its pictures, the classifier."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects
from models.evaluation.arms import GLICO, REAL
from models.evaluation.data import EvaluationData, LabelledRows
from models.evaluation.image_settings import ImageChoice
from models.evaluation.images import ImageArm, image_rows, measured
from models.evaluation.latent_map import project
from models.evaluation.page import render
from models.evaluation.pictures import Picture
from models.evaluation.report import Context, build
from models.evaluation.result import HandedOut, Result
from models.images.classifier import ImageClassifier
from models.images.novelty import nearest_ratio
from workers.pipelines.glico_arms import HANDED_OUT, classifier_of, shown
from workers.pipelines.glico_classifiers import load_classifier, predictions
from workers.pipelines.glico_compute import compute_of
from workers.pipelines.glico_handing import classifier_effects
from workers.pipelines.glico_pictures import paths, samples
from workers.pipelines.glico_training import ImageJob
from workers.pipelines.image_parts import ImagePart
from workers.pipelines.image_results import skipped_in_words
from workers.pipelines.image_shards import Shard, load_image_generator, shards
from workers.pipelines.judging import judged
from workers.pipelines.manifest import kept_artifacts, software
from workers.task import TaskRun

COMPARED = 512
"""Images, of all classes together, that are compared with training images pixel by pixel."""

LEAST_MEASURED = 20
"""Synthetic images of a class whose features are computed where fewer are held out."""


def evaluate(task: TaskRun) -> Effects:
    """Compare the arms on held-out images, draw the pictures, take the classifier to hand out."""
    job, steps = ImageJob(task), _Steps(task)
    choice = ImageChoice.from_json(task.claim.earlier["choose"][0])
    compute = compute_of(job, choice)
    if job.evaluate.enabled:
        return _reported(job, choice, compute, steps)
    handed = HandedOut(GLICO.name, job.spec.classifier.model_dump(mode="json"), {})
    return Effects(
        result={
            "files": task.keep_folder(_written(task, _pictures(job, steps))),
            "classifier": classifier_effects(job, handed, None),
            "compute": compute,
        }
    )


def _reported(
    job: ImageJob, choice: ImageChoice, compute: Mapping[str, Any], steps: "_Steps"
) -> Effects:
    task = job.task
    real = load_classifier(task, _fitted(task, REAL)[0]["files"])
    result = _measured(job, real, choice, steps)
    synthetic = _synthetic(job, real, result.data, steps)
    fidelity, release = judged(task, result, synthetic)
    facts = {"nearest_ratio_in_pixels": _pixel_novelty(job, steps), "compute": compute}
    context = replace(_context(job, facts), fidelity=fidelity, release=release)
    report = build(result, context)
    summary = {"verdict": report["verdict"]}
    if release is not None:
        summary["release"] = report["release"]
    if release is not None and not release.granted:
        # The report at once, and nothing else: no image, not even in a picture.
        files = task.keep_folder(_written(task, [], report, render(report)))
        return Effects(
            artifacts=tuple(kept_artifacts(files)), summary=summary, withheld=release.sentence
        )
    pictures = _pictures(job, steps)
    points = project(result.data, (synthetic.x, synthetic.y), task.claim.seed % 2**32)
    folder = _written(task, pictures, report, render(report, points, pictures))
    arrays: dict[str, Any] = {**result.predictions(), "rows": job.part("test").rows}
    np.savez(folder / "predictions.npz", **arrays)
    return Effects(
        result={
            "files": task.keep_folder(folder),
            "classifier": classifier_effects(job, result.handed_out, report),
            "compute": compute,
            "summary": summary,
        }
    )


def _measured(job: ImageJob, real: ImageClassifier, choice: ImageChoice, steps: "_Steps") -> Result:
    train, val, test = (_rows(real, job.part(name), steps) for name in ("train", "val", "test"))
    return measured(
        EvaluationData(train, val, test, job.classes),
        _arms(job, choice),
        choice,
        method=GLICO,
        metric=job.evaluate.metric,
        candidates=HANDED_OUT,
    )


class _Steps:
    """Progress in steps of which nobody knows how many there are: shown as a share that only grows."""

    def __init__(self, task: TaskRun) -> None:
        self._task, self._done = task, 0

    def __call__(self) -> None:
        self._done += 1
        self._task.progress(self._done / (self._done + 100), 1.0)
        self._task.stop_here()


def _fitted(task: TaskRun, arm: str) -> list[dict[str, Any]]:
    """Return the results of an arm's classifiers, by seed."""
    found = [one for one in task.claim.earlier["classify"] if one["arm"] == arm]
    return sorted(found, key=lambda one: int(one["seed"]))


_ROWS_AT_ONCE = 2048


def _rows(real: ImageClassifier, part: ImagePart, steps: "_Steps") -> LabelledRows:
    return image_rows(
        _features(real, part.x, steps), part.y, images=np.asarray(part.x), group=part.group
    )


def _features(
    real: ImageClassifier, x: npt.NDArray[np.uint8], steps: "_Steps"
) -> npt.NDArray[np.float32]:
    """Return features of images, some at a time: it may take longer than a task may be silent."""
    found = [real.features(x[:0])]
    for start in range(0, len(x), _ROWS_AT_ONCE):
        found.append(real.features(x[start : start + _ROWS_AT_ONCE]))
        steps()
    return np.concatenate(found)


def _arms(job: ImageJob, choice: ImageChoice) -> dict[str, ImageArm]:
    arms = {}
    for arm, setting in choice.settings.items():
        fitted = _fitted(job.task, arm)
        said = [predictions(job.task, one) for one in fitted]
        spec = classifier_of(arm, setting, job.spec.classifier)
        arms[arm] = ImageArm(
            on_test=np.stack([one["test"] for one in said]),
            on_val=np.stack([one["val"] for one in said]),
            spec=spec.model_dump(mode="json"),
            log_score=float(np.mean([one["log_score"] for one in fitted])),
            synthetic=shown(arm, setting, spec),
        )
    return arms


def _synthetic(
    job: ImageJob, real: ImageClassifier, data: EvaluationData, steps: "_Steps"
) -> LabelledRows:
    """Return the images handed out as rows of features, as many of a class as can be compared.

    They are a class's first ones, which have all of its training images as their bases in turn.
    """
    n = len(job.classes)
    held_out = [np.bincount(part.y, minlength=n) for part in (data.val, data.test)]
    left = np.maximum(np.max(held_out, axis=0), LEAST_MEASURED)
    x, y = [real.features(job.train.x[:0])], [np.empty(0, np.int64)]
    for shard in _shards(job):
        rows = first_of_each(shard.cells, left)
        left = left - np.bincount(shard.cells[rows], minlength=n)
        x.append(_features(real, shard.images[rows], steps))
        y.append(shard.cells[rows])
    return LabelledRows(np.concatenate(x), np.concatenate(y))


def first_of_each(
    labels: npt.NDArray[np.int64], most: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the rows of each class's first items, at most ``most`` of it, in order."""
    found = [np.flatnonzero(labels == label)[: most[label]] for label in np.unique(labels)]
    return np.sort(np.concatenate([*found, np.empty(0, np.int64)])).astype(np.int64)


def _shards(job: ImageJob) -> Iterable[Shard]:
    return shards(job.task, job.task.claim.earlier.get("sample", []))


def _pixel_novelty(job: ImageJob, steps: "_Steps") -> float | None:
    """Return how near a few images of each class come to training images, beside held-out ones."""
    n = len(job.classes)
    most = np.full(n, max(1, COMPARED // n))
    test, left, made = job.part("test"), most, [np.empty((0, job.side, job.side, 3), np.uint8)]
    for shard in _shards(job):
        rows = first_of_each(shard.cells, left)
        left = left - np.bincount(shard.cells[rows], minlength=n)
        made.append(shard.images[rows])
    held_out = test.x[first_of_each(test.y, most)]
    steps()
    found = nearest_ratio(np.concatenate(made), held_out, job.train.x)
    return None if found is None else round(found, 4)


def _pictures(job: ImageJob, steps: "_Steps") -> list[Picture]:
    generator = load_image_generator(job.task, job.task.claim.earlier["train"][0]["generator"])
    first = samples(_shards(job), job.classes, job.train, steps)
    second = paths(generator, job.spec.interpolation, job.train, steps)
    return [second] if first is None else [first, second]


def _context(job: ImageJob, found: Mapping[str, Any]) -> Context:
    task, config = job.task, job.task.claim.earlier["train"][0]["config"]
    skipped = task.claim.earlier["choose"][0]["skipped"]
    facts = {
        "dataset": job.spec.dataset,
        "side": job.side,
        "reconstruction_loss": config["loss"],
        "external_weights": job.external_weights,
        "models": job.result["models"],
        **found,
        "software": software(),
    }
    if skipped:
        facts["skipped"] = skipped_in_words(skipped)
    return Context(
        seed=task.claim.seed,
        spec=task.claim.spec,
        history=[tuple(point) for point in config["history"]],
        too_small=[job.classes[label] for label in job.result["too_small"]],
        made_splits=job.result["made"],
        facts=facts,
    )


_NAMES = ("samples.png", "paths.png")


def _written(
    task: TaskRun,
    pictures: Sequence[Picture],
    report: Mapping[str, Any] | None = None,
    page: str = "",
) -> Path:
    """Return a folder with the pictures and, where there is one, the report in both its forms."""
    folder = task.scratch / "report"
    folder.mkdir()
    # Of an empty plan there are paths, and no samples.
    for picture, name in zip(reversed(pictures), reversed(_NAMES), strict=False):
        (folder / name).write_bytes(picture.png)
    if report is not None:
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        (folder / "report.html").write_text(page, encoding="utf-8")
    return folder
