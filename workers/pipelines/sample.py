"""Drawing more from a generator that exists: plan, sample, publish."""

from typing import Any

from app.domain.specs import SampleSpec
from app.domain.tasks import Effects
from models.gelda.spec import OutputSpec, SamplerSpec
from models.planning.rows import cell_rows
from workers.pipelines.results import publish_latents
from workers.pipelines.shards import draw, gather, load_generator, planned
from workers.task import TaskRun


def plan(task: TaskRun) -> Effects:
    """Say how many rows of each class to draw, and cut them into shards."""
    spec, config = _spec(task), _config(task)
    wanted = cell_rows(spec.plan, config["classes"], config["subdomains"], config["cell_counts"])
    rows = wanted.tolist()
    return Effects(result={"rows": sum(rows)}, plan=planned(rows), counts={"requested": sum(rows)})


def sample(task: TaskRun) -> Effects:
    """Draw one shard."""
    generator = load_generator(task, task.claim.inputs["generator"]["files"])
    return draw(task, generator, _sampler(task))


def publish(task: TaskRun) -> Effects:
    """Write the files that the job hands out."""
    config, output = _config(task), _spec(task).output
    rows = gather(task, task.claim.earlier.get("sample", []), config["dim"])
    return publish_latents(
        task,
        rows,
        config=config | {"sampler": _sampler(task).model_dump(mode="json")},
        output=output if isinstance(output, OutputSpec) else OutputSpec(),
        # For a classifier that is given these rows: which rows it must not be measured on.
        summary={name: config[name] for name in ("trained_on", "encoder") if name in config},
    )


def _spec(task: TaskRun) -> SampleSpec:
    return SampleSpec.model_validate(task.claim.spec)


def _config(task: TaskRun) -> dict[str, Any]:
    config: dict[str, Any] = task.claim.inputs["generator"]["config"]
    return config


def _sampler(task: TaskRun) -> SamplerSpec:
    """Return the spec's solver, or the settings that the generator's own job ended with."""
    return _spec(task).sampler or SamplerSpec.model_validate(_config(task)["sampler"])
