"""Drawing more from a GLICO generator that exists: plan, sample, publish."""

from typing import Any

import numpy as np

from app.domain.specs import SampleSpec
from app.domain.tasks import Effects
from models.glico.spec import InterpolationSpec
from workers.pipelines.glico_training import planned_images
from workers.pipelines.image_results import Images, publish_images
from workers.pipelines.image_shards import draw_images, load_image_generator, planned_shards
from workers.task import TaskRun


def plan(task: TaskRun) -> Effects:
    """Say how many images of each class to draw, and cut them into shards."""
    spec, config = SampleSpec.model_validate(task.claim.spec), _config(task)
    counts = np.array(config["cell_counts"], dtype=np.int64)
    wanted, skipped = planned_images(spec.plan, config["classes"], counts)
    total = int(wanted.sum())
    told = {"requested": total} | ({"skipped": sum(skipped.values())} if skipped else {})
    return Effects(
        result={"rows": total, "skipped": skipped},
        plan=planned_shards(wanted.tolist(), config["side"]),
        counts=told,
    )


def sample(task: TaskRun) -> Effects:
    """Draw one shard."""
    generator = load_image_generator(task, task.claim.inputs["generator"]["files"])
    return draw_images(task, generator, _interpolation(task))


def publish(task: TaskRun) -> Effects:
    """Write the files that the job hands out."""
    config = _config(task)
    made = Images(
        results=task.claim.earlier.get("sample", []),
        generator=task.claim.inputs["generator"]["files"],
        config=config,
        interpolation=_interpolation(task),
        skipped=task.claim.earlier["plan"][0]["skipped"],
    )
    return publish_images(task, made, summary={"trained_on": config["trained_on"]})


def _config(task: TaskRun) -> dict[str, Any]:
    config: dict[str, Any] = task.claim.inputs["generator"]["config"]
    return config


def _interpolation(task: TaskRun) -> InterpolationSpec:
    """Return the spec's way from image to image, or that of the generator's own job."""
    given = SampleSpec.model_validate(task.claim.spec).interpolation
    return given or InterpolationSpec.model_validate(_config(task)["interpolation"])
