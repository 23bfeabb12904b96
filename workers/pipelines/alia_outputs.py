"""Publishing what an ALIA job made: its files, the manifest and the card."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.domain.tasks import Effects, NewModel
from workers.pipelines.alia_files import Catalogue, write_edits
from workers.pipelines.alia_job import AliaJob
from workers.pipelines.manifest import artifact, kept_artifacts, write_card, write_manifest


def publish_edits(
    job: AliaJob,
    evaluated: Mapping[str, Any],
    *,
    facts: Mapping[str, Any],
    classifier: NewModel,
    summary: Mapping[str, Any],
) -> Effects:
    """Write and keep everything; return it all as the last stage's effects."""
    task, known = job.task, Catalogue.of(job)
    folder = task.scratch / "published"
    folder.mkdir()
    files = [artifact(task, path) for path in write_edits(known, folder)]
    told = _facts(known) | dict(facts)
    card = write_card(folder / "card.md", "Edited images", _card(known, summary))
    files += [artifact(task, card), *kept_artifacts(evaluated["files"])]
    files.append(artifact(task, write_manifest(folder / "manifest.json", task, files, told)))
    rejected = int((known.chosen.decisions == "rejected").sum())
    filtered = len(known.items) - len(known.chosen.kept) - rejected
    about = {"rows": len(known.chosen.kept), "side": job.side, "unfilled": known.chosen.unfilled}
    task.progress(1.0, 1.0)
    return Effects(
        artifacts=tuple(files),
        classifier=classifier,
        counts={"filtered": filtered, "rejected": rejected},
        summary=about | dict(summary),
    )


def _facts(known: Catalogue) -> dict[str, Any]:
    """Return what the manifest tells beside files, spec and versions."""
    job = known.job
    editors = [one["facts"] for one in job.task.claim.earlier["edit"] if one["maker"] == "edit"]
    made = [
        one
        for stage in ("edit", "top_up")
        for one in job.task.claim.earlier.get(stage, [])
        if one["maker"] == "edit"
    ]
    return {
        "method": "alia",
        "models": job.result["models"],
        "descriptions": list(job.descriptions),
        "described_by": job.task.claim.earlier["summarise"][0]["how"],
        "editor": editors[0] if editors else None,
        "batches_halved": sum(1 for one in made if one["halvings"]),
        "rows": _rows(known),
        "skipped": dict(job.result["skipped"]),
        "unfilled": known.chosen.unfilled,
    }


def _rows(known: Catalogue) -> dict[str, int]:
    """Return how many edits of each class are handed out."""
    counts = np.bincount(known.items.label[known.chosen.kept], minlength=len(known.job.classes))
    return dict(zip(known.job.classes, counts.tolist(), strict=True))


def _card(known: Catalogue, summary: Mapping[str, Any]) -> dict[str, str]:
    job, rows = known.job, _rows(known)
    domains = np.bincount(
        known.items.description[known.chosen.kept], minlength=len(job.descriptions)
    )
    lines = [f"| {text} | {n} |" for text, n in zip(job.descriptions, domains, strict=True)]
    models = [f"- {one['id']} ({one['role']}): {one['licence']}" for one in job.result["models"]]
    return {
        "Does it help?": summary["verdict"]["sentence"]
        if "verdict" in summary
        else "Not measured: this job did not evaluate its images.",
        "What this is": (
            f"{len(known.chosen.kept)} edits of training images of {len(rows)} classes, made by "
            f"{job.spec.edit.editor} with {job.spec.editor_model} after ALIA (Dunlap et al. 2023). Every "
            "image is synthetic; `metadata.jsonl` and `lineage.parquet` name its source, prompt, seed and "
            "scores, the latter those of edits that were dropped, too."
        ),
        "Domains": "\n".join(["| description | edits |", "| --- | --- |", *lines]),
        "Not made": _unfilled(known),
        "Models and their licences": "\n".join(models),
        "Limits": (
            "An edit keeps of its source what the editor keeps, which may be less than the class needs, and "
            "shows people and things as the editor's training images showed them. Whoever gets an edit "
            "gets something of its source."
        ),
    }


def _unfilled(known: Catalogue) -> str:
    if not known.chosen.unfilled:
        return ""
    return (
        f"{known.chosen.unfilled} edits that were asked for: after {known.job.spec.attempts} attempts each "
        "no filter had kept one."
    )
