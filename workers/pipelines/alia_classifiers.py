"""ALIA's classifiers: what each arm trains with."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects
from models.evaluation.image_settings import ImageSetting
from workers.pipelines.alia_arms import EXTRA, classifier_of, filters_of
from workers.pipelines.alia_items import items_of, survivors
from workers.pipelines.alia_job import MAKERS, AliaJob
from workers.pipelines.alia_select import selected
from workers.pipelines.image_classifiers import Lesson, report_classifier, search_classifier
from workers.task import TaskRun

Labelled = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Images `n side side 3` and their classes."""

_MAKER = {arm: maker for maker, arm in MAKERS.items()}


def search(task: TaskRun) -> Effects:
    """Train a classifier at one setting of one arm on first edits, and say what it is worth on `val`."""
    job = AliaJob(task)

    def first(maker: str, setting: ImageSetting) -> Labelled:
        items = items_of(job, maker)
        kept = survivors(job, items, filters_of(setting))
        return items.small[kept], items.label[kept]

    return search_classifier(job, lambda arm, setting: _lesson(job, arm, setting, first))


def classify(task: TaskRun) -> Effects:
    """Train one classifier of one arm at its chosen setting, on all that was kept in the end."""
    job = AliaJob(task)

    def kept(maker: str, _setting: ImageSetting) -> Labelled:
        return selected(job, maker)

    made = task.claim.payload["arm"] in _MAKER
    # What makes no images was searched with the very images that it is reported with.
    return report_classifier(
        job, lambda arm, setting: _lesson(job, arm, setting, kept), searched=not made
    )


def _lesson(
    job: AliaJob,
    arm: str,
    setting: ImageSetting,
    images: Callable[[str, ImageSetting], Labelled],
) -> Lesson:
    """Return the real images and, together with them, what the arm adds."""
    x, y = np.asarray(job.train.x), job.train.y
    more = None
    if arm in _MAKER:
        more = images(_MAKER[arm], setting)
    elif arm == EXTRA:
        more = extra_images(job)
    if more is not None:
        x, y = np.concatenate([x, more[0]]), np.concatenate([y, more[1]])
    return Lesson(x, y, classifier_of(arm, setting, job.classifier))


def extra_images(job: AliaJob) -> Labelled:
    """Return the further real images that the job compares edits with."""
    files = {name: job.task.fetch(blob["sha256"]) for name, blob in job.result["extra"].items()}
    return (
        np.load(files["x.npy"], allow_pickle=False),
        np.load(files["y.npy"], allow_pickle=False),
    )
