"""GeLDA's stages before and beside choosing: prepare, train at each layer, train rivals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects, NewTask
from models.embeddings.dataset import EmbeddingDataset
from models.evaluation.splits import TRAIN, VAL
from models.gelda.method import Generator
from models.gelda.spec import GeldaSpec
from models.planning.rows import cell_rows
from models.study.levels import held_out_rows
from models.study.prepare import Prepared, Rows, prepare
from models.study.rivals import Semantics, rival_of
from models.study.unlabelled import posterior_of
from workers.pipelines.datasets import (
    encoder_of,
    evaluation_of,
    manifest_of,
    open_dataset,
    part,
    take,
    training_rows,
)
from workers.pipelines.drawing import Meter
from workers.pipelines.training import TrainingRows, resumed, train_generator
from workers.pipelines.vectors import (
    class_vectors,
    encoding_models,
    foreign_models,
    subdomain_vectors,
    uploaded_head,
)
from workers.task import TaskRun


def prepare_job(task: TaskRun) -> Effects:
    """Part the rows, fit what all generators and heads stand on, plan a training at each layer."""
    spec = GeldaSpec.model_validate(task.claim.spec)
    data = open_dataset(task)
    split, too_small = part(data, evaluation_of(task), manifest_of(task))
    planned_cells(spec, data, split)  # a plan at fault would else be met after all the training
    kept = _conditions(task, spec, data)
    rows = training_rows(split)
    train = Rows(take(data.x, rows, task.scratch / "train.npy"), data.y[rows])
    prepared = _prepared(task, spec, train, data, split)
    folder = task.scratch / "prepared"
    prepared.save(folder)
    if spec.subdomains is not None:
        kept["posterior"] = posterior_of(
            train,
            prepared.front(0),
            len(data.classes),
            task.claim.seed,
            should_stop=task.should_stop,
        )
    result = {
        "prepared": task.keep_folder(folder),
        "splits": _kept_array(task, "split.npy", split),
        "too_small": too_small,
        "models": [*encoding_models(task), *foreign_models(spec)],
        "arrays": {
            name: _kept_array(task, f"{name}.npy", array)
            for name, array in kept.items()
            if array is not None
        },
    }
    layers = enumerate(prepared.layers)
    plan = tuple(NewTask("train", number, {"layer": layer}) for number, layer in layers)
    return Effects(result=result, plan=plan)


def _conditions(
    task: TaskRun, spec: GeldaSpec, data: EmbeddingDataset
) -> dict[str, npt.NDArray[np.float32] | None]:
    """Return what came with the embeddings: vectors of classes and subdomains, a head."""
    found = {
        "vectors": class_vectors(task, spec.classes, data.classes),
        "subdomain_vectors": subdomain_vectors(task, spec.subdomains, data.subdomains),
    }
    if spec.classifier.initial is not None:
        found["head_weight"], found["head_bias"] = uploaded_head(
            task, spec.classifier.initial, data.classes, data.dim
        )
    return found


def _prepared(
    task: TaskRun,
    spec: GeldaSpec,
    train: Rows,
    data: EmbeddingDataset,
    split: npt.NDArray[np.int8],
) -> Prepared:
    val, meter = np.flatnonzero(split == VAL), Meter(task)
    return prepare(
        train,
        Rows(take(data.x, val, task.scratch / "val.npy"), data.y[val]),
        len(data.classes),
        spec,
        metric=evaluation_of(task).metric,
        seed=task.claim.seed,
        device=task.device,
        # A candidate's head and the adapter take a while, and silence would look like hanging.
        on_progress=meter.heads,
        should_stop=meter.should_stop,
    )


def planned_cells(
    spec: GeldaSpec, data: EmbeddingDataset, split: npt.NDArray[np.int8]
) -> npt.NDArray[np.int64]:
    """Return how many rows of each cell the spec's plan asks for."""
    train = (split == TRAIN) & (data.y >= 0)
    parts = len(data.subdomains) if spec.subdomains is not None else 1
    cells = data.y[train] * parts
    if spec.subdomains is not None and data.subdomain is not None:
        cells = cells + data.subdomain[train]
    counts = np.bincount(cells, minlength=len(data.classes) * parts)
    subdomains = data.subdomains if spec.subdomains is not None else ()
    return cell_rows(spec.plan, data.classes, subdomains, counts.tolist())


def _kept_array(task: TaskRun, name: str, array: npt.NDArray[Any]) -> dict[str, Any]:
    path = task.scratch / name
    np.save(path, array, allow_pickle=False)
    return task.keep(path).named


class PreparedJob:
    """What `prepare_job` kept, as the later stages need it."""

    def __init__(self, task: TaskRun) -> None:
        self.task = task
        self.result: Mapping[str, Any] = task.claim.earlier["prepare"][0]
        self.spec = GeldaSpec.model_validate(task.claim.spec)
        self.data = open_dataset(task)
        self.split: npt.NDArray[np.int8] = np.load(
            task.fetch(self.result["splits"]["sha256"]), allow_pickle=False
        )
        folder = task.fetch_folder(self.result["prepared"], "prepared")
        self.prepared = Prepared.load(folder)
        self.semantics = Semantics(self.array("vectors"), self.array("subdomain_vectors"))

    def array(self, name: str) -> npt.NDArray[Any] | None:
        """Return an array that was kept; None where there was none."""
        kept = self.result["arrays"].get(name)
        if kept is None:
            return None
        found: npt.NDArray[Any] = np.load(self.task.fetch(kept["sha256"]), allow_pickle=False)
        return found

    @property
    def initial(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """Return weight and bias of a head that came with the embeddings."""
        weight, bias = self.array("head_weight"), self.array("head_bias")
        return None if weight is None or bias is None else (weight, bias)

    def rows(self, spec: GeldaSpec) -> TrainingRows:
        """Return the training rows, with what a generator of this spec is told about them."""
        rows = training_rows(self.split)
        parted = spec.subdomains is not None
        subdomain = self.data.subdomain if parted else None
        y = self.data.y[rows]
        if not parted:  # without subdomains a row without a label says nothing
            rows, y = rows[y >= 0], y[y >= 0]
        return TrainingRows(
            x=take(self.data.x, rows, self.task.scratch / "train.npy"),
            y=y,
            classes=self.data.classes,
            subdomain=None if subdomain is None else subdomain[rows],
            subdomains=self.data.subdomains if parted else (),
            posterior=self.array("posterior") if parted else None,
            held_out=held_out_rows(self.data, self.split, spec),
        )


def train(task: TaskRun) -> Effects:
    """Train the generator at one layer on the training rows alone."""
    job, layer = PreparedJob(task), task.claim.payload["layer"]
    generator = _trained(job, layer, job.spec, job.semantics)
    return _generator_effects(job, generator, {"layer": layer})


def train_rival(task: TaskRun) -> Effects:
    """Train the generator again, with less meaning in its vectors."""
    job, name = PreparedJob(task), task.claim.payload["rival"]
    spec, semantics = rival_of(name, job.spec, job.semantics, task.claim.seed)
    generator = _trained(job, task.claim.payload["layer"], spec, semantics)
    return _generator_effects(job, generator, {"rival": name})


def _generator_effects(
    job: PreparedJob, generator: Generator, result: Mapping[str, Any]
) -> Effects:
    folder = job.task.scratch / "generator"
    generator.save(folder)
    config = generator.config | {"models": job.result["models"]} | encoder_of(job.task)
    files = job.task.keep_folder(folder)
    return Effects(result={**result, "generator": files, "config": config})


def _trained(job: PreparedJob, layer: int, spec: GeldaSpec, semantics: Semantics) -> Generator:
    rows, front = job.rows(spec), job.prepared.front(layer)

    def train(resume: Path | None, step: int) -> Generator:
        return train_generator(
            job.task, spec, rows, front=front, semantics=semantics, resume=resume, step=step
        )

    return resumed(job.task, train)
