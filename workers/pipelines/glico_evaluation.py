"""GLICO's `evaluate` stage: what the arms' classifiers said, the report with its pictures, the classifier."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from app.domain.tasks import Effects
from models.evaluation.arms import GLICO
from models.evaluation.image_settings import ImageChoice
from models.evaluation.latent_map import project
from models.evaluation.page import render
from models.evaluation.pictures import Picture
from models.evaluation.report import Context, build
from models.evaluation.result import HandedOut
from workers.pipelines.glico_arms import classifier_of, shown
from workers.pipelines.glico_compute import compute_of
from workers.pipelines.glico_pictures import paths, samples
from workers.pipelines.glico_training import GlicoJob
from workers.pipelines.image_evaluation import (
    Made,
    Steps,
    classifier_on_real,
    measured_images,
    novelty_in_pixels,
    report_folder,
    synthetic_rows,
)
from workers.pipelines.image_handing import classifier_effects
from workers.pipelines.image_results import skipped_in_words
from workers.pipelines.image_shards import Shard, load_image_generator, shards
from workers.pipelines.judging import judged
from workers.pipelines.manifest import kept_artifacts, software
from workers.task import TaskRun


def evaluate(task: TaskRun) -> Effects:
    """Compare the arms on held-out images, draw the pictures, take the classifier to hand out."""
    job, steps = GlicoJob(task), Steps(task)
    choice = ImageChoice.from_json(task.claim.earlier["choose"][0])
    compute = compute_of(job, choice)
    if job.evaluate.enabled:
        return _reported(job, choice, compute, steps)
    handed = HandedOut(GLICO.name, job.spec.classifier.model_dump(mode="json"), {})
    return Effects(
        result={
            "files": task.keep_folder(report_folder(task, _pictures(job, steps))),
            "classifier": classifier_effects(job, handed, None),
            "compute": compute,
        }
    )


def _reported(
    job: GlicoJob, choice: ImageChoice, compute: Mapping[str, Any], steps: Steps
) -> Effects:
    task, real = job.task, classifier_on_real(job.task)
    result = measured_images(
        job,
        real,
        choice,
        steps,
        spec_of=lambda arm, setting: classifier_of(arm, setting, job.spec.classifier),
        shown=shown,
    )
    synthetic = synthetic_rows(job, real, result.data, _made(job), steps)
    fidelity, release = judged(task, result, synthetic)
    novelty = novelty_in_pixels(job, _made(job), steps)
    facts = {"nearest_ratio_in_pixels": novelty, "compute": compute}
    context = replace(_context(job, facts), fidelity=fidelity, release=release)
    report = build(result, context)
    summary = {"verdict": report["verdict"]}
    if release is not None:
        summary["release"] = report["release"]
    if release is not None and not release.granted:
        # The report at once, and nothing else: no image, not even in a picture.
        files = task.keep_folder(report_folder(task, {}, report, render(report)))
        return Effects(
            artifacts=tuple(kept_artifacts(files)), summary=summary, withheld=release.sentence
        )
    pictures = _pictures(job, steps)
    points = project(result.data, (synthetic.x, synthetic.y), task.claim.seed % 2**32)
    page = render(report, points, list(pictures.values()))
    folder = report_folder(task, pictures, report, page)
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


def _made(job: GlicoJob) -> Made:
    """Yield the images handed out; a class's first ones have all of its training images as bases in turn."""
    return ((shard.images, shard.cells) for shard in _shards(job))


def _shards(job: GlicoJob) -> Iterator[Shard]:
    return shards(job.task, job.task.claim.earlier.get("sample", []))


def _pictures(job: GlicoJob, steps: Steps) -> dict[str, Picture]:
    """Return the pictures by file name; of an empty plan there are paths, and no samples."""
    generator = load_image_generator(job.task, job.task.claim.earlier["train"][0]["generator"])
    first = samples(_shards(job), job.classes, job.train, steps)
    second = paths(generator, job.spec.interpolation, job.train, steps)
    return ({} if first is None else {"samples.png": first}) | {"paths.png": second}


def _context(job: GlicoJob, found: Mapping[str, Any]) -> Context:
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
