"""ALIA's plan: which image is edited into which domain, cut into tasks; quotas first, edits after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects, NewTask
from models.alia import descriptions, quotas
from models.alia.semantic import ImageText, load_image_text, shown
from workers.pipelines.alia_arms import arms_of, candidates, makers_of
from workers.pipelines.alia_job import AliaJob, Originals
from workers.pipelines.alia_makers import load_maker
from workers.pipelines.alia_prepare import planned_edits
from workers.task import TaskRun

EDITS_A_TASK = 64
"""Edits that one task makes, about: what a killed worker loses at most is minutes of them."""

_LOOKED_AT_ONCE = 256
"""Images at their own size that are in memory at once while their domains are looked for."""


@dataclass(frozen=True)
class Slots:
    """All edits that are wanted, in the order of the plan.

    Attributes:
        label: class of each, `n`.
        description: number of its description, `n`.
        number: as `quotas.Slot` has it, `n`: it stays when more are wanted.
        sources: numbers of training images to try, one an attempt, `n attempts`.
    """

    label: npt.NDArray[np.int64]
    description: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


def plan(task: TaskRun) -> Effects:
    """Spread what is wanted over descriptions and sources; plan edits, and what validation looks at."""
    job = AliaJob(task)
    spec, wanted = job.spec, planned_edits(job.spec, job.classes, job.counts)[0]
    # A person may have changed them.
    descriptions.check(job.descriptions, job.classes, "descriptions", spec.summarise.prefix)
    own = _own_domains(job) if spec.avoid_own else None
    rows = [np.flatnonzero(job.train.y == label).tolist() for label in range(len(job.classes))]
    found = quotas.slots(
        wanted.tolist(),
        rows,
        own,
        len(job.descriptions),
        seed=task.claim.seed,
        attempts=spec.attempts,
    ).slots
    path = task.scratch / "slots.npz"
    _save(path, found, spec.attempts)
    batch = spec.edit.batch_size or load_maker(job, "edit", len(found)).batch_size
    result = {
        "slots": task.keep(path).named,
        "batch": batch,
        "wanted": len(found),
        "shown": None if own is None else _shown(job, own),
    }
    skipped: Mapping[str, int] = job.result["skipped"]
    counts = {"requested": len(found)} | ({"skipped": sum(skipped.values())} if skipped else {})
    return Effects(
        result=result,
        plan=(*_edits(job, len(found), batch), *_searches(job)),
        counts=counts,
    )


def slots_of(task: TaskRun) -> Slots:
    """Return what `plan` has planned."""
    path = task.fetch(task.claim.earlier["plan"][0]["slots"]["sha256"])
    with np.load(path, allow_pickle=False) as arrays:
        return Slots(**{name: arrays[name] for name in arrays.files})


def _save(path: Path, found: Sequence[quotas.Slot], attempts: int) -> None:
    np.savez(
        path,
        label=np.array([slot.label for slot in found], np.int64),
        description=np.array([slot.description for slot in found], np.int64),
        number=np.array([slot.number for slot in found], np.int64),
        sources=np.array([slot.sources for slot in found], np.int64).reshape(-1, attempts),
    )


def _edits(job: AliaJob, n: int, batch: int) -> list[NewTask]:
    """Return the tasks of the edit stage: whole batches, so that who takes them moves no cut."""
    shard = batch * max(1, EDITS_A_TASK // batch)
    cuts = [
        (maker, start)
        for maker in makers_of(job.spec, job.evaluate)
        for start in range(0, n, shard)
    ]
    return [
        NewTask("edit", number, {"maker": maker, "start": start, "stop": min(start + shard, n)})
        for number, (maker, start) in enumerate(cuts)
    ]


def _searches(job: AliaJob) -> list[NewTask]:
    """Return a task for each setting that validation looks at; an arm of one setting has no choice."""
    if not job.evaluate.enabled:
        return []
    points = [
        (arm, setting)
        for arm in arms_of(job.spec, job.evaluate)
        for settings in [candidates(arm, job.spec, job.evaluate)]
        if len(settings) > 1
        for setting in settings
    ]
    return [
        NewTask("search", number, {"arm": arm, "setting": dict(setting)})
        for number, (arm, setting) in enumerate(points)
    ]


def image_text(job: AliaJob) -> ImageText:
    """Return the image-text model; it stays loaded for the tasks that follow."""
    field = "filters.semantic.model"
    found, device = job.found(field), job.task.device
    return job.task.shelf.get(
        (field, found.revision, device),
        lambda: load_image_text(found.path, found.id, field, device),
    )


def _own_domains(job: AliaJob) -> dict[int, int]:
    """Return the number of the description that each training image already is of, as the model sees it."""
    model, originals, train = image_text(job), Originals(job.task), job.train
    found: dict[int, int] = {}
    for start in range(0, len(train.y), _LOOKED_AT_ONCE):
        rows = np.arange(start, min(start + _LOOKED_AT_ONCE, len(train.y)))
        images = [originals[row] for row in train.rows[rows].tolist()]
        job.task.progress(start, len(train.y))
        own = shown(
            model,
            images,
            train.y[rows],
            job.classes,
            job.descriptions,
            job.spec.subject,
            should_stop=job.task.should_stop,
        )
        found |= dict(zip(rows.tolist(), own.tolist(), strict=True))
    return found


def _shown(job: AliaJob, own: Mapping[int, int]) -> dict[str, int]:
    """Return how many training images each description already has."""
    counts = np.bincount(list(own.values()), minlength=len(job.descriptions))
    return dict(zip(job.descriptions, counts.tolist(), strict=True))
