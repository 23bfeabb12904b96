"""Publishing synthetic images: the archive, their lineage, the manifest and the card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.tasks import Effects, NewArtifact, NewModel
from models.glico.spec import InterpolationSpec
from workers.pipelines.glico_training import ROWS_FILE
from workers.pipelines.image_outputs import Origin, write_images
from workers.pipelines.image_parts import read_rows
from workers.pipelines.image_shards import rows_of, shards
from workers.pipelines.manifest import artifact, write_card, write_manifest
from workers.pipelines.shards import expand
from workers.task import TaskRun


@dataclass(frozen=True)
class Images:
    """Images that were drawn, and of what.

    Attributes:
        results: of the sample stage's tasks, in plan order.
        generator: files of the generator.
        config: its config.
        interpolation: how they were made.
        skipped: images asked for of classes without a pair, by class.
    """

    results: Sequence[Mapping[str, Any]]
    generator: Mapping[str, Mapping[str, Any]]
    config: Mapping[str, Any]
    interpolation: InterpolationSpec
    skipped: Mapping[str, int]


def publish_images(
    task: TaskRun,
    made: Images,
    *,
    more: Sequence[NewArtifact] = (),
    facts: Mapping[str, Any] | None = None,
    generator: NewModel | None = None,
    classifier: NewModel | None = None,
    summary: Mapping[str, Any] | None = None,
) -> Effects:
    """Write and keep everything; return it all as the last stage's effects.

    `more` are artifacts that earlier stages have kept; `facts` stand in the manifest beside its own.
    """
    folder = task.scratch / "published"
    folder.mkdir()
    files = [artifact(task, path) for path in _written(task, made, folder)]
    counts = images_a_class(made)
    text = _card(task, made, counts, summary or {})
    files += [artifact(task, write_card(folder / "card.md", "Synthetic images", text)), *more]
    told = _facts(made, counts) | dict(facts or {})
    files.append(artifact(task, write_manifest(folder / "manifest.json", task, files, told)))
    rows = rows_of(made.results)
    task.progress(rows + 1, rows + 1)
    about = {"rows": rows, "side": made.config["side"], "skipped": dict(made.skipped)}
    return Effects(
        artifacts=tuple(files),
        generator=generator,
        classifier=classifier,
        counts={"filtered": 0, "failed": 0},
        summary=about | dict(summary or {}),
    )


def _written(task: TaskRun, made: Images, folder: Path) -> tuple[Path, Path]:
    """Write archive and lineage, with progress at every image."""
    training, ids = read_rows(task.fetch(made.generator[ROWS_FILE]["sha256"]))
    config, total = made.config, rows_of(made.results) + 1
    origin = Origin(config["classes"], training, ids, task.claim.seed, config["method"])
    done = 0

    def on_item() -> None:
        nonlocal done
        done += 1
        task.progress(done, total)
        task.stop_here()

    return write_images(folder, shards(task, made.results), origin, on_item)


def _facts(made: Images, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return what the manifest tells of every job that makes images."""
    config = made.config
    return {
        "method": config["method"],
        "models": config["models"],
        "external_weights": config["external_weights"],
        "interpolation": made.interpolation.model_dump(mode="json"),
        "rows": dict(counts),
        "skipped": dict(made.skipped),
    }


def images_a_class(made: Images) -> dict[str, int]:
    """Return how many images there are of each class."""
    classes = made.config["classes"]
    counted = np.zeros(len(classes), dtype=np.int64)
    for result in made.results:
        counted += np.bincount(expand(result["items"])[0], minlength=len(classes))
    return dict(zip(classes, counted.tolist(), strict=True))


def _card(
    task: TaskRun, made: Images, counts: Mapping[str, int], summary: Mapping[str, Any]
) -> dict[str, str]:
    config, real = made.config, made.config["class_counts"]
    lines = [f"| {name} | {real[name]} | {n} |" for name, n in counts.items()]
    return {
        "Does it help?": summary["verdict"]["sentence"]
        if "verdict" in summary
        else "Not measured: this job did not evaluate its images.",
        "What this is": (
            f"{sum(counts.values())} images of {config['side']} × {config['side']} pixels, made by a "
            f"GLICO generator (Azuri & Weinshall 2020): {path_in_words(made.interpolation)}, seed "
            f"{task.claim.seed}. Every image is synthetic; `metadata.jsonl` and `lineage.parquet` name "
            "the training images that it was made of, and their shares."
        ),
        "Images": "\n".join(
            ["| class | real, training | synthetic |", "| --- | --- | --- |", *lines]
        ),
        "Left out": skipped_in_words(made.skipped),
        "Weights of others": _weights(config),
        "Limits": (
            "An image lies between training images of its class: it shows what they show, and whoever "
            "gets it gets something of them. What the training images lack or distort, these lack or "
            "distort too."
        ),
    }


def path_in_words(spec: InterpolationSpec) -> str:
    """Return how images are made of their parents, in a few words."""
    if spec.path == "none":
        return "reconstructions of one training image each"
    path = {"slerp": "spherical interpolation", "lerp": "linear interpolation"}[spec.path]
    back = ", what the generator loses of them added back" if spec.residuals else ""
    return (
        f"{path} between {spec.parents} training images of one class, t from {spec.low:g} to "
        f"{spec.high:g}{back}"
    )


def skipped_in_words(skipped: Mapping[str, int]) -> str:
    """Return which classes nothing could be made of; empty where there is none."""
    if not skipped:
        return ""
    named = ", ".join(f"{name} ({n} asked for)" for name, n in skipped.items())
    return f"Of classes with fewer than two training images nothing is made, for there is no pair: {named}."


def _weights(config: Mapping[str, Any]) -> str:
    used = [f"{model['id']} ({model['role']}; {model['licence']})" for model in config["models"]]
    if not used:
        return "None: nothing but the dataset's labelled training images was seen."
    return f"Trained on other data: {', '.join(used)}."
