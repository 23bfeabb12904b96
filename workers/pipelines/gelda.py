"""GeLDA's stages choose, sample and publish (training and `evaluate` have files of their own)."""

from typing import Any

from app.domain.tasks import Effects, NewModel, NewTask
from models.evaluation import choosing
from models.evaluation.arms import GELDA, REDRAWN
from models.evaluation.choosing import Level
from models.evaluation.rivals import applicable
from models.evaluation.settings import Choice
from models.evaluation.spec import EvaluateSpec
from models.gelda.spec import GeldaSpec, SamplerSpec
from models.study.levels import evaluation_data, sampler_at
from workers.pipelines.datasets import encoder_of, evaluation_of
from workers.pipelines.drawing import Meter, drawn_by
from workers.pipelines.gelda_training import PreparedJob, planned_cells
from workers.pipelines.manifest import kept_artifacts
from workers.pipelines.results import publish_latents
from workers.pipelines.shards import draw, gather, load_generator, planned
from workers.task import TaskRun


def choose(task: TaskRun) -> Effects:
    """Let validation choose layer and settings; plan the drawing of the rows and the rivals."""
    job, evaluation = PreparedJob(task), evaluation_of(task)
    wanted = planned_cells(job.spec, job.data, job.split)
    rivals: list[NewTask] = []
    if evaluation.enabled:
        choice, names = _chosen(job, evaluation)
        rivals = [
            NewTask("rivals", number, {"rival": name, "layer": choice.layer})
            for number, name in enumerate(names)
        ]
    else:
        choice = Choice(job.prepared.layers[0])
    return Effects(
        result=choice.as_json(),
        plan=(*planned(wanted.tolist()), *rivals),
        counts={"requested": int(wanted.sum())},
    )


def _chosen(job: PreparedJob, evaluation: EvaluateSpec) -> tuple[Choice, list[str]]:
    """Return the choice, and the names of the rivals whose generators are to be trained."""
    task, spec, meter = job.task, job.spec, Meter(job.task)
    levels = {}
    for trained in task.claim.earlier["train"]:
        layer = trained["layer"]
        generator = load_generator(task, trained["generator"])
        levels[layer] = Level(
            evaluation_data(job.data, job.split, spec, job.prepared, layer, job.semantics),
            drawn_by(task, generator, spec.sampler, meter),
        )
    choice = choosing.choose(
        levels,
        planned_cells(spec, job.data, job.split),
        head=spec.classifier,
        spec=evaluation,
        sampler=spec.sampler,
        seed=task.claim.seed,
        initial=job.initial,
        device=task.device,
        on_progress=meter.heads,
        should_stop=meter.should_stop,
    )
    wanted = applicable(levels[choice.layer].data, spec.classifier, evaluation)
    return choice, [name for name in wanted if name in REDRAWN]


def chosen_sampler(task: TaskRun) -> SamplerSpec:
    """Return the spec's solver with what validation chose."""
    spec = GeldaSpec.model_validate(task.claim.spec)
    choice = Choice.from_json(task.claim.earlier["choose"][0])
    return sampler_at(spec.sampler, choice.of(GELDA.name))


def sample(task: TaskRun) -> Effects:
    """Draw one shard."""
    generator = load_generator(task, chosen_training(task)["generator"])
    return draw(task, generator, chosen_sampler(task))


def chosen_training(task: TaskRun) -> dict[str, Any]:
    """Return the result of the training at the layer that was chosen."""
    layer = task.claim.earlier["choose"][0]["layer"]
    found: dict[str, Any] = next(
        one for one in task.claim.earlier["train"] if one["layer"] == layer
    )
    return found


def publish(task: TaskRun) -> Effects:
    """Write the files that the job hands out, and make generator and classifier visible."""
    spec = GeldaSpec.model_validate(task.claim.spec)
    earlier = task.claim.earlier
    prepared, trained, evaluated = (
        earlier["prepare"][0],
        chosen_training(task),
        earlier["evaluate"][0],
    )
    trained_on = {"dataset": spec.dataset, "splits": prepared["splits"]["sha256"]}
    config = trained["config"] | {
        "sampler": chosen_sampler(task).model_dump(mode="json"),
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
        summary={"trained_on": trained_on, **encoder_of(task), **evaluated.get("summary", {})},
    )
