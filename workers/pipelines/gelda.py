"""GeLDA's stages: train, choose, sample, publish (`evaluate` has a file of its own)."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects, NewModel
from app.domain.text_models import ROLE, licence
from models.embeddings.dataset import EmbeddingDataset
from models.evaluation import choosing
from models.evaluation.result import Choice
from models.evaluation.spec import EvaluateSpec
from models.gelda.method import Generator
from models.gelda.plan import counts
from models.gelda.spec import GeldaSpec, SamplerSpec
from models.semantics.spec import NameVectors
from workers.pipelines.datasets import evaluation_of, open_dataset, part, take, training_rows
from workers.pipelines.drawing import Meter, drawing, evaluation_data
from workers.pipelines.manifest import kept_artifacts
from workers.pipelines.results import publish_latents
from workers.pipelines.shards import draw, gather, load_generator, planned
from workers.pipelines.training import train_generator
from workers.pipelines.vectors import class_vectors
from workers.task import TaskRun

log = logging.getLogger(__name__)


def train(task: TaskRun) -> Effects:
    """Part the rows, then train the generator on the training rows alone."""
    spec = GeldaSpec.model_validate(task.claim.spec)
    data = open_dataset(task)
    # A plan for a class that is not there would else be met after all the training.
    counts(spec.plan, dict.fromkeys(data.classes, 0))
    split, too_small = part(data, evaluation_of(task), task.claim.inputs["dataset"])
    vectors = class_vectors(task, spec.classes, data.classes)
    generator = _trained(task, spec, data, training_rows(split), vectors)
    folder = task.scratch / "generator"
    generator.save(folder)
    return Effects(
        result={
            "generator": task.keep_folder(folder),
            "config": generator.config | {"models": _models(spec)},
            "splits": _kept_array(task, "split.npy", split),
            "too_small": too_small,
            "vectors": None if vectors is None else _kept_array(task, "vectors.npy", vectors),
        }
    )


def _trained(
    task: TaskRun,
    spec: GeldaSpec,
    data: EmbeddingDataset,
    rows: npt.NDArray[np.int64],
    vectors: npt.NDArray[np.float32] | None,
) -> Generator:
    x, y = take(data.x, rows, task.scratch / "train.npy"), data.y[rows]
    fit = partial(train_generator, task, spec, x, y, classes=data.classes, vectors=vectors)
    resume = task.resume_file()
    saved = task.claim.checkpoint
    if resume is None or saved is None:
        return fit(on_checkpoint=task.checkpoint)
    try:
        return fit(on_checkpoint=task.checkpoint, resume=resume, step=saved.step)
    except ValueError as error:
        # A checkpoint of another torch or device: slower to start again, but never half of each.
        log.warning("job %s starts training anew: %s", task.claim.job_id, error)
        return fit(on_checkpoint=task.checkpoint)


def _models(spec: GeldaSpec) -> list[dict[str, str]]:
    """Return the foreign models that had a part in the generator, with their licences."""
    if not isinstance(spec.classes, NameVectors):
        return []
    name = spec.classes.model
    return [{"id": name, "role": ROLE, "licence": licence(name)}]


def _kept_array(task: TaskRun, name: str, array: npt.NDArray[Any]) -> dict[str, Any]:
    path = task.scratch / name
    np.save(path, array, allow_pickle=False)
    blob = task.keep(path)
    return {"sha256": blob.sha256, "bytes": blob.bytes}


def choose(task: TaskRun) -> Effects:
    """Let validation choose temperature and share, and plan the drawing of the rows."""
    spec, evaluate = GeldaSpec.model_validate(task.claim.spec), evaluation_of(task)
    trained = task.claim.earlier["train"][0]
    wanted = _plan_counts(spec, trained["config"])
    if evaluate.enabled:
        choice = _chosen(task, spec, evaluate, np.array(wanted, dtype=np.int64))
    else:
        choice = Choice(spec.sampler.temperature, 1.0)
    return Effects(result=choice.as_json(), plan=planned(wanted), counts={"requested": sum(wanted)})


def _chosen(
    task: TaskRun, spec: GeldaSpec, evaluate: EvaluateSpec, wanted: npt.NDArray[np.int64]
) -> Choice:
    trained = task.claim.earlier["train"][0]
    meter = Meter(task)
    return choosing.choose(
        evaluation_data(task, open_dataset(task), trained["splits"]["sha256"]),
        drawing(task, load_generator(task, trained["generator"]), spec.sampler, meter),
        wanted,
        head=spec.classifier,
        spec=evaluate,
        seed=task.claim.seed,
        device=task.device,
        on_progress=meter.heads,
        should_stop=meter.should_stop,
    )


def _plan_counts(spec: GeldaSpec, config: Mapping[str, Any]) -> list[int]:
    """Return how many rows of each class to make, in the order of the classes."""
    rows = counts(spec.plan, config["class_counts"])
    return [rows[name] for name in config["classes"]]


def _sampler(task: TaskRun, spec: GeldaSpec) -> SamplerSpec:
    """Return the spec's solver at the temperature that was chosen."""
    temperature = task.claim.earlier["choose"][0]["temperature"]
    return spec.sampler.model_copy(update={"temperature": temperature})


def sample(task: TaskRun) -> Effects:
    """Draw one shard."""
    spec = GeldaSpec.model_validate(task.claim.spec)
    generator = load_generator(task, task.claim.earlier["train"][0]["generator"])
    return draw(task, generator, _sampler(task, spec))


def publish(task: TaskRun) -> Effects:
    """Write the files that the job hands out, and make generator and classifier visible."""
    spec = GeldaSpec.model_validate(task.claim.spec)
    earlier = task.claim.earlier
    trained, evaluated = earlier["train"][0], earlier["evaluate"][0]
    trained_on = {"dataset": spec.dataset, "splits": trained["splits"]["sha256"]}
    config = trained["config"] | {
        "sampler": _sampler(task, spec).model_dump(mode="json"),
        "trained_on": trained_on,
    }
    rows = gather(task, earlier.get("sample", []), config["dim"])
    classifier = evaluated.get("classifier")
    return publish_latents(
        task,
        rows,
        config=config,
        output=spec.output,
        more=kept_artifacts(evaluated.get("files", {})),
        generator=NewModel(trained["generator"], config),
        classifier=None if classifier is None else NewModel(**classifier),
        summary={"trained_on": trained_on, **evaluated.get("summary", {})},
    )
