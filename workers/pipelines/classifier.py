"""A head on a dataset's latents, with the outputs of augmentation jobs mixed in."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects, NewModel
from app.store.blob_files import hash_file
from models.classifiers.classifier import Classifier
from models.classifiers.spec import ClassifierSpec
from models.classifiers.train import fit_head
from models.errors import InputProblem
from models.evaluation.caveats import sampled
from models.evaluation.data import EvaluationData, LabelledRows
from models.evaluation.metrics import measure
from models.evaluation.spec import EvaluateSpec
from models.evaluation.splits import UNASSIGNED
from models.front.front import Front
from models.front.preparation import fit as fit_preparation
from models.front.preparation import transformed
from models.seeds import derived_seed
from workers.pipelines.classifier_report import MIXED, REAL, card_sections, report_on
from workers.pipelines.datasets import (
    encoder_of,
    evaluation_of,
    manifest_of,
    open_dataset,
    part,
    training_rows,
)
from workers.pipelines.drawing import Meter
from workers.pipelines.manifest import artifact, kept_artifacts, write_card, write_manifest
from workers.pipelines.outputs import read_synthetic
from workers.pipelines.vectors import uploaded_head
from workers.task import TaskRun


def fit(task: TaskRun) -> Effects:
    """Train the head on real rows and, where there are any, on real and synthetic ones.

    Both are reported on `test`; of the seeds of the last arm, the one that is best on `val` is
    handed out.
    """
    spec, evaluate = ClassifierSpec.model_validate(task.claim.spec), evaluation_of(task)
    data = open_dataset(task)
    split, too_small = part(data, evaluate, manifest_of(task))
    training_rows(np.where(data.y >= 0, split, UNASSIGNED))  # refuses where there is none
    real = EvaluationData.of(
        data.x, data.y, split, data.classes, front=Front.identity(data.dim), group=data.group
    )
    arms = {REAL: real.train}
    synthetic = _mixed_in(task, data.classes, data.dim)
    if len(synthetic.y):
        arms[MIXED] = LabelledRows(
            np.concatenate([real.train.x, synthetic.x]),
            np.concatenate([real.train.y, synthetic.y]),
        )
    heads = _fit_arms(task, spec, arms, data.classes, evaluate.seeds if evaluate.enabled else 1)
    report = _reported(heads, real, evaluate)
    report["classes_too_small"] = [data.classes[label] for label in too_small]
    leaks = _leaks(task, _sha256_of(task, split))
    report["caveats"] = [line for line in (*leaks, sampled(real)) if line]
    best = _best(heads[list(arms)[-1]], real.val, evaluate)
    folder = task.scratch / "classifier"
    best.save(folder)
    return Effects(
        result={
            "files": task.keep_folder(folder),
            "config": best.config | {"method": "head", "trained_on": list(arms)[-1]},
            "report": report,
        }
    )


def _reported(
    heads: dict[str, list[Classifier]], real: EvaluationData, evaluate: EvaluateSpec
) -> dict[str, Any]:
    test = real.test
    return report_on(
        {name: np.stack([head.predict(test.x) for head in arm]) for name, arm in heads.items()},
        test.y,
        train_counts=real.train_counts,
        metric=evaluate.metric,
        groups=test.group,
    )


def _check_encoder(task: TaskRun, job: Mapping[str, Any]) -> None:
    """Refuse latents of another encoder than the dataset's, where both are known.

    Raises:
        InputProblem: ``encoder_mismatch`` with what differs.
    """
    ours, theirs = encoder_of(task).get("encoder"), (job["summary"] or {}).get("encoder")
    if ours is None or theirs is None or ours == theirs:
        return
    name = next(name for name in ours if ours[name] != theirs.get(name))
    raise InputProblem(
        "encoder_mismatch",
        f"{job['job_id']} in mix has latents of an encoder whose {name} is {theirs.get(name)!r}; the "
        f"dataset's embeddings were made with {ours[name]!r}. Latents of two encoders do not mix.",
        "mix",
    )


def _mixed_in(task: TaskRun, classes: Sequence[str], dim: int) -> LabelledRows:
    number = {name: label for label, name in enumerate(classes)}
    parts_x, parts_y = [np.empty((0, dim), np.float32)], [np.empty(0, np.int64)]
    for job in task.claim.inputs.get("mix", []):
        layer = (job["summary"] or {}).get("layer", 0)
        if layer:
            raise InputProblem(
                "not_embeddings",
                f"{job['job_id']} in mix has latents of its adapter's layer {layer}, which cannot be "
                "turned back into embeddings and so cannot stand beside the dataset's; expected rows "
                "of layer 0. The job's own classifier was trained with them.",
                "mix",
            )
        _check_encoder(task, job)
        names = [name for name in job["artifacts"] if name.startswith("synthetic.")]
        if not names:
            raise InputProblem(
                "no_synthetic_rows", "A job named in mix has no synthetic latents.", "mix"
            )
        blob = job["artifacts"][names[0]]
        x, y, theirs = read_synthetic(task.fetch(blob["sha256"]), names[0])
        if x.shape[1] != dim:
            raise InputProblem(
                "embedding_dim_mismatch",
                f"A job named in mix has latents of {x.shape[1]} dimensions, the dataset of {dim}.",
                "mix",
            )
        unknown = sorted(set(theirs) - set(number))
        if unknown:
            raise InputProblem(
                "unknown_class",
                f"A job named in mix has class {unknown[0]!r}, which the dataset has not.",
                "mix",
            )
        parts_x.append(x)
        parts_y.append(np.array([number[name] for name in theirs], dtype=np.int64)[y])
    return LabelledRows(np.concatenate(parts_x), np.concatenate(parts_y))


def _fit_arms(
    task: TaskRun,
    spec: ClassifierSpec,
    arms: dict[str, LabelledRows],
    classes: Sequence[str],
    seeds: int,
) -> dict[str, list[Classifier]]:
    heads: dict[str, list[Classifier]] = {name: [] for name in arms}
    meter = Meter(task)
    front = Front(fit_preparation(arms[REAL].x, spec.preparation))
    initial = None
    if spec.head.initial is not None:
        initial = uploaded_head(
            task, spec.head.initial, classes, front.dim_in, param="head.initial"
        )
    latents = {name: transformed(front, rows.x) for name, rows in arms.items()}
    for number, (name, seed) in enumerate((n, s) for n in arms for s in range(seeds)):
        meter.heads(number, seeds * len(arms))
        head = fit_head(
            latents[name],
            arms[name].y,
            len(classes),
            spec.head,
            # The same seeds for both arms: they are compared in pairs.
            derived_seed("head", task.claim.seed, seed) >> 1,
            n_real=len(arms[REAL].y),
            initial=initial,
            classes=classes,
            device=task.device,
            should_stop=meter.should_stop,
        )
        heads[name].append(Classifier(front, head))
    meter.heads(seeds * len(arms), seeds * len(arms))
    return heads


def _best(heads: Sequence[Classifier], val: LabelledRows, evaluate: EvaluateSpec) -> Classifier:
    if len(heads) == 1 or not len(val.y):
        return heads[0]
    scores = [
        measure((head.predict(val.x) == val.y)[None], val.y, head.n_classes, evaluate.metric)
        for head in heads
    ]
    return heads[int(np.argmax(scores))]


def _sha256_of(task: TaskRun, split: npt.NDArray[np.int8]) -> str:
    """Return what the split's file is known by to the jobs that keep theirs."""
    path = task.scratch / "split.npy"
    np.save(path, split, allow_pickle=False)
    return hash_file(path).sha256


def _leaks(task: TaskRun, splits: str) -> list[str]:
    """Say which mixed-in generators may have seen rows that are held out here."""
    return [
        f"{job['job_id']} trained its generator on another part of this dataset than is trained on "
        "here, so the figures above may be too good. Where the dataset brings its own test rows, or "
        "where that job has evaluate switched on, they are not."
        for job in task.claim.inputs.get("mix", [])
        if (trained_on := (job["summary"] or {}).get("trained_on"))
        and trained_on["dataset"] == task.claim.spec["dataset"]
        and trained_on["splits"] != splits
    ]


def publish(task: TaskRun) -> Effects:
    """Write card, report and manifest beside the head, and make it visible."""
    fitted = task.claim.earlier["fit"][0]
    report = fitted["report"]
    folder = task.scratch / "published"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    card = write_card(folder / "card.md", "Classifier head", card_sections(fitted))
    files = [*kept_artifacts(fitted["files"]), artifact(task, folder / "report.json")]
    files.append(artifact(task, card))
    facts = {"classifier": fitted["config"]}
    manifest = write_manifest(Path(folder / "manifest.json"), task, files, facts)
    files.append(artifact(task, manifest))
    card_file = next(one for one in files if one.name == "card.md")
    model_files = fitted["files"] | {
        "card.md": {"sha256": card_file.sha256, "bytes": card_file.bytes}
    }
    task.progress(1, 1)
    return Effects(
        artifacts=tuple(files),
        classifier=NewModel(model_files, fitted["config"]),
        summary={"verdict": report["verdict"], "methods": report["methods"]},
    )
