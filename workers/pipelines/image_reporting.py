"""How `evaluate` stages of jobs on images end: with the report, and what may be handed out after it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from app.domain.tasks import Effects
from models.evaluation.latent_map import project
from models.evaluation.page import render
from models.evaluation.pictures import Picture
from models.evaluation.report import Context, build
from models.evaluation.result import HandedOut, Result
from models.images.classifier import ImageClassifier
from workers.pipelines.image_evaluation import (
    Made,
    Steps,
    novelty_in_pixels,
    report_folder,
    synthetic_rows,
)
from workers.pipelines.image_handing import classifier_effects
from workers.pipelines.image_jobs import ImageJob
from workers.pipelines.judging import judged
from workers.pipelines.manifest import kept_artifacts

Facts = Mapping[str, Any]
Pictures = Mapping[str, Picture]
"""By file name."""


def reported(
    job: ImageJob,
    result: Result,
    real: ImageClassifier,
    compute: Facts,
    steps: Steps,
    *,
    made: Callable[[], Made],
    context: Callable[[Facts], Context],
    pictures: Callable[[], Pictures],
) -> Effects:
    """Write the report with its pictures, and take the classifier; or the report alone, if nothing is released.

    Args:
        job: whose.
        result: what its arms said.
        real: the classifier of real images by whose features images are compared.
        compute: what everything has cost.
        steps: told of progress.
        made: yields the images that are handed out.
        context: what the report tells besides, given facts of its own.
        pictures: draws the pictures; not called where nothing is released.
    """
    task = job.task
    synthetic = synthetic_rows(job, real, result.data, made(), steps)
    fidelity, release = judged(task, result, synthetic)
    facts = {"nearest_ratio_in_pixels": novelty_in_pixels(job, made(), steps), "compute": compute}
    report = build(result, replace(context(facts), fidelity=fidelity, release=release))
    summary = {"verdict": report["verdict"]}
    if release is not None:
        summary["release"] = report["release"]
    if release is not None and not release.granted:
        # The report at once, and nothing else: no image, not even in a picture.
        files = task.keep_folder(report_folder(task, {}, report, render(report)))
        return Effects(
            artifacts=tuple(kept_artifacts(files)), summary=summary, withheld=release.sentence
        )
    drawn = pictures()
    points = project(result.data, (synthetic.x, synthetic.y), task.claim.seed % 2**32)
    folder = report_folder(task, drawn, report, render(report, points, list(drawn.values())))
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


def unmeasured(job: ImageJob, compute: Facts, pictures: Pictures) -> Effects:
    """Keep the pictures and the method's own classifier, where nothing is measured."""
    handed = HandedOut(job.method.name, job.classifier.model_dump(mode="json"), {})
    return Effects(
        result={
            "files": job.task.keep_folder(report_folder(job.task, pictures)),
            "classifier": classifier_effects(job, handed, None),
            "compute": compute,
        }
    )
