"""GLICO's classifiers: what each arm trains with."""

import numpy as np

from app.domain.tasks import Effects
from models.evaluation.image_settings import ImageSetting
from workers.pipelines.glico_arms import classifier_of, probability_of, source_of
from workers.pipelines.glico_training import GlicoJob
from workers.pipelines.image_classifiers import Lesson, report_classifier, search_classifier
from workers.pipelines.image_shards import load_image_generator
from workers.task import TaskRun


def search(task: TaskRun) -> Effects:
    """Train a classifier at one setting of one arm, and say what it is worth on `val`."""
    job = GlicoJob(task)
    return search_classifier(job, lambda arm, setting: _lesson(job, arm, setting))


def classify(task: TaskRun) -> Effects:
    """Train one classifier of one arm at its chosen setting; keep what it says of held-out images.

    The first of each arm is the one that validation chose by.
    """
    job = GlicoJob(task)
    return report_classifier(job, lambda arm, setting: _lesson(job, arm, setting), searched=True)


def _lesson(job: GlicoJob, arm: str, setting: ImageSetting) -> Lesson:
    task, real, n = job.task, job.train, len(job.classes)
    x = np.array(real.x)
    probability = probability_of(arm, setting)
    source = None
    if probability:
        files = task.claim.earlier["train"][0]["generator"]
        source = source_of(
            arm, job.spec, x, real.y, n, lambda: load_image_generator(task, files), task.device
        )
    spec = classifier_of(arm, setting, job.spec.classifier)
    return Lesson(x, real.y, spec, source, probability)
