"""What each arm of a GLICO job has cost: steps, images and seconds."""

from typing import Any

from models.evaluation.image_settings import ImageChoice
from workers.pipelines.glico_arms import generates, shown
from workers.pipelines.glico_training import GlicoJob
from workers.pipelines.image_evaluation import cost_of


def compute_of(job: GlicoJob, choice: ImageChoice) -> dict[str, Any]:
    """Return the generator's training, and of each arm a training of its classifier."""
    generator = job.task.claim.earlier["train"][0]["compute"]
    arms = {
        arm: cost_of(job, choice, arm, shown(arm, setting, job.spec.classifier))
        | {"generator_steps": generator["steps"] if generates(arm) else 0}
        for arm, setting in choice.settings.items()
    }
    return {"generator": dict(generator), "classifiers": arms}
