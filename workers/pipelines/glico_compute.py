"""What each arm of a GLICO job has cost: steps, images and seconds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.evaluation.image_settings import ImageChoice, ImageSetting
from workers.pipelines.glico_arms import generates, shown
from workers.pipelines.glico_training import GlicoJob


def compute_of(job: GlicoJob, choice: ImageChoice) -> dict[str, Any]:
    """Return the generator's training, and of each arm a training of its classifier.

    Seconds are wall time of whoever worked on it, of a training that was resumed as at the pace of its
    last attempt: of all that a report says, they alone are not the same when a job is repeated.
    """
    generator = job.task.claim.earlier["train"][0]["compute"]
    arms = {
        arm: _arm(job, choice, arm, setting, generator) for arm, setting in choice.settings.items()
    }
    return {"generator": dict(generator), "classifiers": arms}


def _arm(
    job: GlicoJob,
    choice: ImageChoice,
    arm: str,
    setting: ImageSetting,
    generator: Mapping[str, Any],
) -> dict[str, Any]:
    spec = job.spec.classifier
    fitted = [one for one in job.task.claim.earlier["classify"] if one["arm"] == arm]
    return {
        "classifier_steps": spec.steps,
        "classifier_images": spec.steps * spec.batch_size,
        "synthetic_images": shown(arm, setting, spec),
        "generator_steps": generator["steps"] if generates(arm) else 0,
        "settings_tried": max(1, sum(trial.arm == arm for trial in choice.trials)),
        "trainings": len(fitted),
        "seconds_a_training": round(float(np.mean([one["seconds"] for one in fitted])), 2),
    }
