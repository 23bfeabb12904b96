"""ALIA's `evaluate` stage: what the arms' classifiers said, the report with its pictures, the classifier."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from app.domain.tasks import Effects
from models.evaluation.image_settings import ImageChoice
from models.evaluation.report import Context
from models.images.spec import ImageClassifierSpec
from workers.pipelines.alia_arms import EXTRA, classifier_of
from workers.pipelines.alia_items import items_of
from workers.pipelines.alia_job import MAKERS, AliaJob
from workers.pipelines.alia_pictures import pictures
from workers.pipelines.alia_select import selection_of
from workers.pipelines.image_evaluation import (
    Steps,
    classifier_on_real,
    cost_of,
    measured_images,
)
from workers.pipelines.image_reporting import reported, unmeasured
from workers.pipelines.manifest import software
from workers.task import TaskRun

_MAKER = {arm: maker for maker, arm in MAKERS.items()}


def evaluate(task: TaskRun) -> Effects:
    """Compare the arms on held-out images, draw the pictures, take the classifier to hand out."""
    job, steps = AliaJob(task), Steps(task)
    choice = ImageChoice.from_json(task.claim.earlier["choose"][0])
    items, chosen = items_of(job, "edit"), selection_of(job, "edit")
    compute = _compute(job, choice, len(chosen.kept))
    if not job.evaluate.enabled:
        return unmeasured(job, compute, pictures(job, items, chosen, steps))
    real = classifier_on_real(task)
    result = measured_images(
        job,
        real,
        choice,
        steps,
        spec_of=lambda arm, setting: classifier_of(arm, setting, job.classifier),
        shown=lambda arm, _setting, spec: _shown(job, arm, spec),
        subdomains=tuple(task.claim.inputs["dataset"].get("subdomains") or ()),
    )
    return reported(
        job,
        result,
        real,
        compute,
        steps,
        made=lambda: [(items.small[chosen.kept], items.label[chosen.kept])],
        context=lambda facts: _context(job, facts),
        pictures=lambda: pictures(job, items, chosen, steps),
    )


def _added(job: AliaJob, arm: str) -> int:
    """Return how many images an arm adds to the real ones."""
    if arm in _MAKER:
        return len(selection_of(job, _MAKER[arm]).kept)
    if arm == EXTRA:
        path = job.task.fetch(job.result["extra"]["y.npy"]["sha256"])
        return len(np.load(path, allow_pickle=False))
    return 0


def _shown(job: AliaJob, arm: str, spec: ImageClassifierSpec) -> int:
    """Return how many images that an arm adds one training shows: all images come equally often."""
    added = _added(job, arm)
    return round(spec.steps * spec.batch_size * added / (added + len(job.train.y)))


def _compute(job: AliaJob, choice: ImageChoice, kept: int) -> dict[str, Any]:
    """Return what was made and how long it took, and of each arm a training of its classifier."""
    earlier = job.task.claim.earlier
    made = [
        one
        for stage in ("edit", "top_up")
        for one in earlier.get(stage, [])
        if one["maker"] == "edit"
    ]
    seconds = round(sum(one["seconds"] for one in made), 2)
    return {
        "edits": {"made": sum(one["edits"] for one in made), "kept": kept, "seconds": seconds},
        "editor": made[0]["facts"],
        "classifiers": {
            arm: cost_of(job, choice, arm, _shown(job, arm, job.classifier))
            for arm in choice.settings
        },
    }


def _context(job: AliaJob, found: Mapping[str, Any]) -> Context:
    task, selected = job.task, job.task.claim.earlier["select"][0]
    dropped = selected["edit"]["dropped"]
    facts = {
        "dataset": job.spec.dataset,
        "side": job.side,
        "descriptions": list(job.descriptions),
        "described_by": task.claim.earlier["summarise"][0]["how"],
        "training_images_by_description": task.claim.earlier["plan"][0]["shown"],
        "filters": dropped,
        "unfilled": selected["edit"]["unfilled"],
        "models": job.result["models"],
        **found,
        "software": software(),
    }
    return Context(
        seed=task.claim.seed,
        spec=task.claim.spec,
        too_small=[job.classes[label] for label in job.result["too_small"]],
        made_splits=job.result["made"],
        facts=facts,
        cautions=[
            *(one["sentence"] for one in dropped if one["sentence"]),
            *_unfilled(job, selected["edit"]["unfilled"]),
            *_cut_short(job),
            *_empty_controls(selected),
        ],
    )


def _unfilled(job: AliaJob, unfilled: int) -> list[str]:
    if not unfilled:
        return []
    return [
        f"{unfilled} of the edits that were asked for are missing: after {job.spec.attempts} attempts each "
        "the filters had kept none of them."
    ]


def _cut_short(job: AliaJob) -> list[str]:
    """Return a sentence where the editor has not read some prompts to their end."""
    edits = job.task.claim.earlier["edit"]
    cut = [text for one in edits if one["maker"] == "edit" for text in one["cut_short"]]
    if not cut:
        return []
    return [
        f"{len(cut)} prompts are longer than the editor's text encoder reads, such as “{cut[0]}”: their "
        "ends had no effect."
    ]


def _empty_controls(selected: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each control that makes images and of which the filters left none."""
    for maker, found in selected.items():
        if maker != "edit" and not found["kept"]:
            yield (
                f"The filters kept none of the {found['made']} images that {maker.replace('_', ' ')} made: its "
                "classifiers saw the real images alone."
            )
