"""Publishing synthetic latents: the files, their lineage, the manifest and the card."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.domain.tasks import Effects, NewArtifact, NewModel
from models.gelda.spec import OutputSpec
from workers.pipelines.manifest import artifact, write_card, write_manifest
from workers.pipelines.outputs import (
    Labels,
    Latents,
    Synthetic,
    write_lineage,
    write_synthetic,
)
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

    `rows` are latents (n × dim), cells and counters; `config` is the generator's, with the sampler
    that drew them; `more` are artifacts that earlier stages have kept, such as the report.
    """
    made = Synthetic(*rows, config["classes"], config["subdomains"])
    folder = task.scratch / "published"
    folder.mkdir()
    synthetic = write_synthetic(folder, made, output.format)
    task.progress(1, 4)
    lineage = write_lineage(folder / "lineage.parquet", made, task.claim.seed)
    task.progress(2, 4)
    task.stop_here()
    counts = rows_a_cell(made)
    text = _card(task, config, counts, summary or {})
    files = [artifact(task, synthetic), artifact(task, lineage)]
    files += [artifact(task, write_card(folder / "card.md", "Synthetic latents", text)), *more]
    task.progress(3, 4)
    facts = {
        "method": config["method"],
        "models": config["models"],
        "sampler": config["sampler"],
        "rows": counts,
    }
    files.append(artifact(task, write_manifest(folder / "manifest.json", task, files, facts)))
    task.progress(4, 4)
    return Effects(
        artifacts=tuple(files),
        generator=generator,
        classifier=classifier,
        counts={"filtered": 0, "failed": 0},
        summary={
            "rows": len(made.cells),
            "dim": config["dim"],
            "layer": layer_of(config),
            **(summary or {}),
        },
    )


def layer_of(config: Mapping[str, Any]) -> int:
    """Return l of a generator's latents Z^(l)."""
    return len(config["front"]["widths"])


def rows_a_cell(rows: Synthetic) -> dict[str, int]:
    """Return how many rows there are of each class, or of each ``class / subdomain``."""
    names = list(rows.classes)
    if rows.subdomains:
        names = [f"{label} / {subdomain}" for label in names for subdomain in rows.subdomains]
    counted = np.bincount(rows.cells, minlength=len(names))
    return dict(zip(names, counted.tolist(), strict=True))


def _card(
    task: TaskRun, config: Mapping[str, Any], made: Mapping[str, int], summary: Mapping[str, Any]
) -> dict[str, str]:
    sampler, layer = config["sampler"], layer_of(config)
    real = config["cell_counts"]
    lines = [f"| {name} | {n} | {made[name]} |" for name, n in zip(made, real, strict=True)]
    of = "class / subdomain" if config["subdomains"] else "class"
    space = f"of the adapter's layer {layer}" if layer else "in the space of the embeddings"
    return {
        "Does it help?": summary["verdict"]["sentence"]
        if "verdict" in summary
        else "Not measured: this job did not evaluate its latents.",
        "What this is": (
            f"{sum(made.values())} latents of {config['dim']} dimensions {space}, drawn from a GeLDA "
            f"generator (Bae & Kim 2026): {sampler['name']}, {sampler['steps']} steps, guidance "
            f"{sampler['guidance']:g}, temperature {sampler['temperature']:g}, seed "
            f"{task.claim.seed}. Every row is synthetic and has no single real parent."
        ),
        "Rows": "\n".join(
            [f"| {of} | real, training | synthetic |", "| --- | --- | --- |", *lines]
        ),
        "Limits": (
            "They are latents of one foundation model and layer, of use with that model only. What "
            "the training rows lack or distort, these rows lack or distort too."
        ),
    }
