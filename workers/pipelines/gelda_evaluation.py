"""GeLDA's `evaluate` stage: heads on what was drawn and on every rival, and the report."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.tasks import Effects
from models.embeddings.dataset import EmbeddingDataset
from models.evaluation import protocol
from models.evaluation.fidelity import Fidelity, measure_fidelity
from models.evaluation.latent_map import project
from models.evaluation.page import render
from models.evaluation.release import Release, judge
from models.evaluation.report import Context, build
from models.evaluation.result import (
    Choice,
    EvaluationData,
    LabelledRows,
    Labels,
    Latents,
    Result,
)
from models.evaluation.spec import ReleaseSpec
from models.evaluation.splits import TEST, VAL
from models.gelda.spec import GeldaSpec
from workers.pipelines.datasets import evaluation_of, open_dataset
from workers.pipelines.drawing import Meter, drawing, evaluation_data
from workers.pipelines.manifest import kept_artifacts, software, write_card
from workers.pipelines.rival_generators import RivalTraining, rival_vectors
from workers.pipelines.shards import gather
from workers.task import TaskRun


def evaluate(task: TaskRun) -> Effects:
    """Measure the drawn latents on held-out rows, beside every control."""
    if not evaluation_of(task).enabled:
        return Effects()
    trained = task.claim.earlier["train"][0]
    dataset = open_dataset(task)
    data = evaluation_data(task, dataset, trained["splits"]["sha256"])
    x, y, _ = gather(task, task.claim.earlier.get("sample", []), dataset.dim)
    result = _measured(task, data, (x, y))
    fidelity, release = _judged(task, result, LabelledRows(x, y))
    context = replace(_context(task, dataset, trained), fidelity=fidelity, release=release)
    report = build(result, context)
    summary = {"verdict": report["verdict"]}
    if release is not None:
        summary["release"] = report["release"]
    if release is not None and not release.granted:
        return _withheld(task, report, release, summary)
    return Effects(
        result={
            "files": _files(task, result, report, (x, y)),
            "classifier": _classifier(task, result, report),
            "summary": summary,
        }
    )


def _judged(
    task: TaskRun, result: Result, synthetic: LabelledRows
) -> tuple[Fidelity, Release | None]:
    """Return fidelity on `test`, to be reported, and the judgement on `val`, if one is asked for."""
    seed = task.claim.seed
    fidelity = measure_fidelity(result.data, synthetic, part="test", seed=seed)
    if task.claim.release_if is None:
        return fidelity, None
    task.stop_here()
    on_val = measure_fidelity(result.data, synthetic, part="val", seed=seed)
    spec = ReleaseSpec.model_validate(task.claim.release_if)
    return fidelity, judge(spec, on_val, result.val_gain, result.data.val)


def _withheld(
    task: TaskRun, report: dict[str, Any], release: Release, summary: dict[str, Any]
) -> Effects:
    """Publish the report at once, and nothing else: no row, not even as a dot on the map."""
    files = task.keep_folder(_written(task, report, render(report)))
    return Effects(
        artifacts=tuple(kept_artifacts(files)), summary=summary, withheld=release.sentence
    )


def _measured(task: TaskRun, data: EvaluationData, synthetic: tuple[Latents, Labels]) -> Result:
    spec, evaluation = GeldaSpec.model_validate(task.claim.spec), evaluation_of(task)
    kept = task.claim.earlier["train"][0]["vectors"]
    vectors = None if kept is None else np.load(task.fetch(kept["sha256"]), allow_pickle=False)
    rivals = rival_vectors(evaluation, vectors, task.claim.seed)
    generators = RivalTraining(task, spec, rivals).train(
        np.asarray(data.train.x, dtype=np.float32), data.train.y.astype(np.int64), data.classes
    )
    meter = Meter(task, before=len(rivals))
    return protocol.evaluate(
        data,
        synthetic,
        Choice.from_json(task.claim.earlier["choose"][0]),
        head=spec.classifier,
        spec=evaluation,
        seed=task.claim.seed,
        generators={
            name: drawing(task, generator, spec.sampler, meter)
            for name, generator in generators.items()
        },
        device=task.device,
        on_progress=meter.heads,
        should_stop=meter.should_stop,
    )


def _context(task: TaskRun, data: EmbeddingDataset, trained: Mapping[str, Any]) -> Context:
    made = [name for code, name in ((VAL, "val"), (TEST, "test")) if not (data.split == code).any()]
    return Context(
        seed=task.claim.seed,
        spec=task.claim.spec,
        history=[tuple(point) for point in trained["config"]["history"]],
        too_small=[data.classes[label] for label in trained["too_small"]],
        made_splits=made,
        facts={"dataset": task.claim.spec["dataset"], "software": software()},
    )


def _files(
    task: TaskRun, result: Result, report: dict[str, Any], synthetic: tuple[Latents, Labels]
) -> dict[str, dict[str, Any]]:
    page = render(report, project(result.data, synthetic, task.claim.seed % 2**32))
    folder = _written(task, report, page)
    arrays: dict[str, Any] = dict(result.predictions())
    np.savez(folder / "predictions.npz", **arrays)
    return task.keep_folder(folder)


def _written(task: TaskRun, report: dict[str, Any], page: str) -> Path:
    """Return a folder with the report in both its forms."""
    folder = task.scratch / "report"
    folder.mkdir()
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder


def _classifier(task: TaskRun, result: Result, report: dict[str, Any]) -> dict[str, Any]:
    """Return files and config of the head that validation chose."""
    folder = task.scratch / "classifier"
    result.head.save(folder)
    spec = result.head.spec
    sections = {
        "What this is": (
            f"A {spec.head} head ({spec.loss}) from latents of {result.head.dim} dimensions to "
            f"{result.head.n_classes} classes, trained on {result.arms[result.head_arm].label}; "
            "validation chose it."
        ),
        "Held-out results": report["verdict"]["sentence"],
        "Limits": "\n\n".join(report["caveats"]),
    }
    write_card(folder / "card.md", "Classifier head", sections)
    config = result.head.config | {"method": "head", "trained_on": result.head_arm}
    return {"files": task.keep_folder(folder), "config": config}
