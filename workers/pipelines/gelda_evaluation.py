"""GeLDA's `evaluate` stage: heads on what was drawn and on every rival, and the report."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.tasks import Effects
from models.classifiers.classifier import Classifier
from models.evaluation import protocol
from models.evaluation.data import EvaluationData, LabelledRows, Labels, Latents
from models.evaluation.latent_map import project
from models.evaluation.page import render
from models.evaluation.protocol import HeadResult
from models.evaluation.release import Release
from models.evaluation.report import Context, build
from models.evaluation.settings import Choice
from models.evaluation.splits import TEST, VAL
from models.front.front import Front
from models.front.preparation import transformed
from models.study.levels import evaluation_data, rival_draw
from workers.pipelines.datasets import embeddings_in_words, encoder_of, evaluation_of
from workers.pipelines.drawing import Meter, drawn_by
from workers.pipelines.gelda import chosen_training
from workers.pipelines.gelda_training import PreparedJob
from workers.pipelines.judging import judged
from workers.pipelines.manifest import kept_artifacts, software, write_card
from workers.pipelines.shards import gather, load_generator
from workers.task import TaskRun


def evaluate(task: TaskRun) -> Effects:
    """Measure the drawn latents on held-out rows, beside every control."""
    if not evaluation_of(task).enabled:
        return Effects()
    job, choice = PreparedJob(task), Choice.from_json(task.claim.earlier["choose"][0])
    front = job.prepared.front(choice.layer)
    generator = chosen_training(task)
    x, cells, _ = gather(task, task.claim.earlier.get("sample", []), generator["config"]["dim"])
    # What was handed out, and not what was drawn before it, is what is measured.
    z = transformed(front, x) if front.invertible else np.asarray(x)
    data = evaluation_data(job.data, job.split, job.spec, job.prepared, choice.layer, job.semantics)
    result = _measured(job, data, (z, cells), choice)
    label, subdomain = np.divmod(cells, data.parts_a_class)
    synthetic = LabelledRows(z, label, subdomain=subdomain if data.subdomains else None)
    fidelity, release = judged(task, result, synthetic)
    context = replace(_context(job, generator), fidelity=fidelity, release=release)
    report = build(result, context)
    summary = {"verdict": report["verdict"]}
    if release is not None:
        summary["release"] = report["release"]
    if release is not None and not release.granted:
        return _withheld(task, report, release, summary)
    return Effects(
        result={
            "files": _files(task, result, report, synthetic),
            "classifier": _classifier(task, result, report, front),
            "summary": summary,
        }
    )


def _withheld(
    task: TaskRun, report: dict[str, Any], release: Release, summary: dict[str, Any]
) -> Effects:
    """Publish the report at once, and nothing else: no row, not even as a dot on the map."""
    files = task.keep_folder(_written(task, report, render(report)))
    return Effects(
        artifacts=tuple(kept_artifacts(files)), summary=summary, withheld=release.sentence
    )


def _measured(
    job: PreparedJob, data: EvaluationData, synthetic: tuple[Latents, Labels], choice: Choice
) -> HeadResult:
    task, spec, meter = job.task, job.spec, Meter(job.task)
    generators = {}
    for rival in task.claim.earlier.get("rivals", []):
        drawn = drawn_by(task, load_generator(task, rival["generator"]), spec.sampler, meter)
        generators[rival["rival"]] = rival_draw(rival["rival"], drawn, data.parts_a_class)
    return protocol.evaluate(
        data,
        synthetic,
        choice,
        head=spec.classifier,
        spec=evaluation_of(task),
        seed=task.claim.seed,
        generators=generators,
        initial=job.initial,
        device=task.device,
        on_progress=meter.heads,
        should_stop=meter.should_stop,
    )


def _context(job: PreparedJob, trained: Mapping[str, Any]) -> Context:
    data, split = job.data, job.data.split
    made = [name for code, name in ((VAL, "val"), (TEST, "test")) if not (split == code).any()]
    return Context(
        seed=job.task.claim.seed,
        spec=job.task.claim.spec,
        history=[tuple(point) for point in trained["config"]["history"]],
        too_small=[data.classes[label] for label in job.result["too_small"]],
        made_splits=made,
        facts={
            "dataset": job.spec.dataset,
            "preparation": {
                "chosen": job.prepared.preparation.spec.model_dump(mode="json"),
                "val_scores": [round(100 * score, 2) for score in job.prepared.scores],
            },
            "software": software(),
            **encoder_of(job.task),
        },
    )


def _files(
    task: TaskRun, result: HeadResult, report: dict[str, Any], synthetic: LabelledRows
) -> dict[str, dict[str, Any]]:
    drawn = (synthetic.x, synthetic.y)
    page = render(report, project(result.data, drawn, task.claim.seed % 2**32))
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


def _classifier(
    task: TaskRun, result: HeadResult, report: dict[str, Any], front: Front
) -> dict[str, Any]:
    """Return files and config of the classifier that validation chose: from embeddings to classes."""
    folder = task.scratch / "classifier"
    classifier = Classifier(front, result.head)
    classifier.save(folder)
    spec = result.head.spec
    adapter = len(front.blocks) + len(result.data.blocks)
    sections = {
        "What this is": (
            f"A {spec.head} head ({spec.loss}) on embeddings of {front.dim_in} dimensions, prepared "
            f"to {front.dim}{f' and taken through {adapter} adapter blocks' if adapter else ''}, for "
            f"{result.head.n_classes} classes; trained on {result.arms[result.handed_out.arm].label}; "
            "validation chose it."
        ),
        "Embeddings": embeddings_in_words(task),
        "Held-out results": report["verdict"]["sentence"],
        "Limits": "\n\n".join(report["caveats"]),
    }
    write_card(folder / "card.md", "Classifier", sections)
    told = {"method": "head", "trained_on": result.handed_out.arm, **encoder_of(task)}
    config = classifier.config | told
    return {"files": task.keep_folder(folder), "config": config}
