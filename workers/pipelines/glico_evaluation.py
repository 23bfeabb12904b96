"""GLICO's `evaluate` stage: what the arms' classifiers said, the report with its pictures, the classifier."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.domain.tasks import Effects
from models.evaluation.image_settings import ImageChoice
from models.evaluation.pictures import Picture
from models.evaluation.report import Context
from workers.pipelines.glico_arms import classifier_of, shown
from workers.pipelines.glico_compute import compute_of
from workers.pipelines.glico_pictures import paths, samples
from workers.pipelines.glico_training import GlicoJob
from workers.pipelines.image_evaluation import (
    Made,
    Steps,
    classifier_on_real,
    measured_images,
)
from workers.pipelines.image_reporting import reported, unmeasured
from workers.pipelines.image_results import skipped_in_words
from workers.pipelines.image_shards import Shard, load_image_generator, shards
from workers.pipelines.manifest import software
from workers.task import TaskRun


def evaluate(task: TaskRun) -> Effects:
    """Compare the arms on held-out images, draw the pictures, take the classifier to hand out."""
    job, steps = GlicoJob(task), Steps(task)
    choice = ImageChoice.from_json(task.claim.earlier["choose"][0])
    compute = compute_of(job, choice)
    if not job.evaluate.enabled:
        return unmeasured(job, compute, _pictures(job, steps))
    real = classifier_on_real(task)
    result = measured_images(
        job,
        real,
        choice,
        steps,
        spec_of=lambda arm, setting: classifier_of(arm, setting, job.spec.classifier),
        shown=shown,
    )
    return reported(
        job,
        result,
        real,
        compute,
        steps,
        made=lambda: _made(job),
        context=lambda facts: _context(job, facts),
        pictures=lambda: _pictures(job, steps),
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
