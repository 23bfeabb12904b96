"""Publishing synthetic latents: the files, their lineage, the manifest and the card."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.domain.tasks import Effects, NewArtifact, NewModel
from models.gelda.spec import OutputSpec
from workers.pipelines.manifest import artifact, write_card, write_manifest
from workers.pipelines.outputs import Labels, Latents, write_lineage, write_synthetic
from workers.task import TaskRun


def publish_latents(
    task: TaskRun,
    rows: tuple[Latents, Labels, Labels],
    *,
    config: Mapping[str, Any],
    output: OutputSpec,
    more: Sequence[NewArtifact] = (),
    generator: NewModel | None = None,
    classifier: NewModel | None = None,
    summary: Mapping[str, Any] | None = None,
) -> Effects:
    """Write and keep everything; return it all as the last stage's effects.

    `rows` are latents (n × dim), labels and counters; `config` is the generator's, with the sampler
    that drew them; `more` are artifacts that earlier stages have kept, such as the report.
    """
    x, y, counters = rows
    classes: list[str] = config["classes"]
    folder = task.scratch / "published"
    folder.mkdir()
    synthetic = write_synthetic(folder, x, y, classes, output.format)
    task.progress(1, 4)
    lineage = write_lineage(
        folder / "lineage.parquet", x, y, counters, classes=classes, seed=task.claim.seed
    )
    task.progress(2, 4)
    task.stop_here()
    made = dict(zip(classes, np.bincount(y, minlength=len(classes)).tolist(), strict=True))
    text = _card(task, config, made, summary or {})
    files = [artifact(task, synthetic), artifact(task, lineage)]
    files += [artifact(task, write_card(folder / "card.md", "Synthetic latents", text)), *more]
    task.progress(3, 4)
    facts = {
        "method": config["method"],
        "models": config["models"],
        "sampler": config["sampler"],
        "rows": made,
    }
    files.append(artifact(task, write_manifest(folder / "manifest.json", task, files, facts)))
    task.progress(4, 4)
    total = len(y)
    return Effects(
        artifacts=tuple(files),
        generator=generator,
        classifier=classifier,
        counts={"filtered": 0, "failed": 0},
        summary={"rows": total, "dim": config["dim"], **(summary or {})},
    )


def _card(
    task: TaskRun, config: Mapping[str, Any], made: Mapping[str, int], summary: Mapping[str, Any]
) -> dict[str, str]:
    sampler = config["sampler"]
    lines = [
        f"| {name} | {config['class_counts'].get(name, 0)} | {n} |" for name, n in made.items()
    ]
    return {
        "Does it help?": summary["verdict"]["sentence"]
        if "verdict" in summary
        else "Not measured: this job did not evaluate its latents.",
        "What this is": (
            f"{sum(made.values())} latents of {config['dim']} dimensions, drawn from a GeLDA "
            f"generator (Bae & Kim 2026): {sampler['name']}, {sampler['steps']} steps, guidance "
            f"{sampler['guidance']:g}, temperature {sampler['temperature']:g}, seed "
            f"{task.claim.seed}. Every row is synthetic and has no single real parent."
        ),
        "Rows": "\n".join(
            ["| class | real, training | synthetic |", "| --- | --- | --- |", *lines]
        ),
        "Limits": (
            "They are latents of one foundation model and layer, of use with that model only. What "
            "the training rows lack or distort, these rows lack or distort too."
        ),
    }
