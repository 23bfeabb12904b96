"""The classifiers of the real images by which edits are judged: each has not seen one part of them."""

import numpy as np
from scipy.special import softmax

from app.domain.tasks import Effects
from workers.pipelines.alia_job import AliaJob, fold_numbers
from workers.pipelines.image_classifiers import Lesson, fit_lesson
from workers.task import TaskRun


def folds(task: TaskRun) -> Effects:
    """Train on all folds but one; keep the classifier, and what it says of the images it has not seen."""
    job, fold = AliaJob(task), int(task.claim.payload["fold"])
    spec = job.spec.filters.confidence
    mine = fold_numbers(job.train.y, spec.folds, task.claim.seed) == fold
    steps = spec.steps or job.classifier.steps
    lesson = Lesson(
        job.train.x[~mine], job.train.y[~mine], job.classifier.model_copy(update={"steps": steps})
    )
    fitted = fit_lesson(job, lesson, seed=fold)
    folder = task.scratch / "fold"
    fitted.classifier.save(folder)
    path = task.scratch / "unseen.npz"
    logits = fitted.classifier.logits(np.asarray(job.train.x[mine]))
    np.savez(path, rows=np.flatnonzero(mine), p=softmax(logits.astype(np.float64), axis=1))
    return Effects(
        result={
            "fold": fold,
            "files": task.keep_folder(folder),
            "unseen": task.keep(path).named,
            "seconds": fitted.seconds,
        }
    )
