"""ALIA's stages choose and publish (what comes between them has files of its own)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from app.domain.tasks import Effects, NewModel, NewTask
from models.evaluation.image_settings import ImageChoice, ImageTrial
from workers.pipelines.alia_arms import arms_of, filters_of, first_setting, makers_of
from workers.pipelines.alia_items import items_of, survivors
from workers.pipelines.alia_job import MAKERS, AliaJob
from workers.pipelines.alia_outputs import publish_edits
from workers.task import TaskRun

TOP_UPS_A_TASK = 32
"""Slots of one task: each may be edited more than once."""


def choose(task: TaskRun) -> Effects:
    """Take each arm's setting that is best on `val`; plan what is edited anew, and the classifiers."""
    job = AliaJob(task)
    choice = _chosen(job)
    seeds = job.evaluate.seeds if job.evaluate.enabled else 1
    classifiers = [
        NewTask("classify", number, {"arm": arm, "seed": seed, "setting": dict(setting)})
        for number, (arm, setting, seed) in enumerate(
            (arm, setting, seed)
            for arm, setting in choice.settings.items()
            for seed in range(seeds)
        )
    ]
    return Effects(result=choice.as_json(), plan=(*_top_ups(job, choice), *classifiers))


def _chosen(job: AliaJob) -> ImageChoice:
    names = ("arm", "setting", "score", "value")
    trials = [
        ImageTrial(**{name: found[name] for name in names})
        for found in job.task.claim.earlier.get("search", [])
    ]
    best = ImageChoice.best(_that_leave_something(job, trials))
    first = {
        arm: first_setting(arm, job.spec, job.evaluate) for arm in arms_of(job.spec, job.evaluate)
    }
    return ImageChoice(
        {arm: best.settings.get(arm, one) for arm, one in first.items()}, tuple(trials)
    )


def _that_leave_something(job: AliaJob, trials: Sequence[ImageTrial]) -> Iterator[ImageTrial]:
    """Yield the trials but those whose filters keep no image, which the real ones alone were trained with.

    An arm of which no trial keeps any has all of them: that there is nothing is said where it is selected.
    """
    found: list[ImageTrial] = []
    for maker in makers_of(job.spec, job.evaluate):
        mine = [trial for trial in trials if trial.arm == MAKERS[maker]]
        items = items_of(job, maker)
        sets = {filters_of(trial.setting) for trial in mine}
        kept = {filters: len(survivors(job, items, filters)) for filters in sets}
        found += [trial for trial in mine if kept[filters_of(trial.setting)]] or mine
    yield from found
    yield from (trial for trial in trials if trial.arm not in MAKERS.values())


def _top_ups(job: AliaJob, choice: ImageChoice) -> list[NewTask]:
    """Return the tasks that edit anew what fell out: as large as those of the first edits."""
    if job.spec.attempts == 1:
        return []
    batch, found = job.task.claim.earlier["plan"][0]["batch"], []
    for maker in makers_of(job.spec, job.evaluate):
        arm, items = MAKERS[maker], items_of(job, maker)
        kept = survivors(job, items, filters_of(choice.settings[arm]))
        left = np.setdiff1d(items.slot, items.slot[kept]).tolist()
        shard = batch * max(1, TOP_UPS_A_TASK // batch)
        found += [
            {"maker": maker, "arm": arm, "slots": left[start : start + shard]}
            for start in range(0, len(left), shard)
        ]
    return [NewTask("top_up", number, payload) for number, payload in enumerate(found)]


def publish(task: TaskRun) -> Effects:
    """Write the files that the job hands out, and make the classifier visible."""
    job, earlier = AliaJob(task), task.claim.earlier
    evaluated: dict[str, Any] = earlier["evaluate"][0]
    trained_on = {"dataset": job.spec.dataset, "splits": job.result["splits"]["sha256"]}
    return publish_edits(
        job,
        evaluated,
        facts={"side": job.side, "compute": _without_seconds(evaluated["compute"])},
        classifier=NewModel(**evaluated["classifier"]),
        summary={"trained_on": trained_on, **evaluated.get("summary", {})},
    )


def _without_seconds(compute: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was computed without how long it took, which the report tells.

    A manifest is the same whoever worked on it.
    """
    return {
        name: _without_seconds(value) if isinstance(value, Mapping) else value
        for name, value in compute.items()
        if not name.startswith("seconds")
    }
