"""Drawing more from a generator that exists, of whichever method: plan, sample, publish."""

from typing import Any

from app.domain.specs import SampleSpec
from app.domain.tasks import Effects
from models.errors import InputProblem
from models.gelda.spec import OutputSpec, SamplerSpec
from models.glico.spec import ImageOutputSpec
from models.planning.rows import cell_rows
from workers.pipelines import image_sample
from workers.pipelines.results import publish_latents
from workers.pipelines.shards import draw, gather, load_generator, planned
from workers.task import TaskRun


def plan(task: TaskRun) -> Effects:
    """Say how many items of each class to draw, and cut them into shards."""
    spec, config = _spec(task), _config(task)
    _refuse_the_other_method(spec, config["method"])
    if config["method"] == "glico":
        return image_sample.plan(task)
    wanted = cell_rows(spec.plan, config["classes"], config["subdomains"], config["cell_counts"])
    rows = wanted.tolist()
    return Effects(result={"rows": sum(rows)}, plan=planned(rows), counts={"requested": sum(rows)})


def sample(task: TaskRun) -> Effects:
    """Draw one shard."""
    if _config(task)["method"] == "glico":
        return image_sample.sample(task)
    generator = load_generator(task, task.claim.inputs["generator"]["files"])
    return draw(task, generator, _sampler(task))


def publish(task: TaskRun) -> Effects:
    """Write the files that the job hands out."""
    if _config(task)["method"] == "glico":
        return image_sample.publish(task)
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


def _refuse_the_other_method(spec: SampleSpec, method: str) -> None:
    """Refuse what generators of this method have no use for; the API does, where it knows the method.

    Raises:
        InputProblem: ``not_of_this_method``.
    """
    images = method == "glico"
    unfit = {
        "sampler": images and spec.sampler is not None,
        "interpolation": not images and spec.interpolation is not None,
        "output.format": spec.output is not None
        and isinstance(spec.output, ImageOutputSpec) != images,
    }
    for field, found in unfit.items():
        if found:
            makes = "GLICO, which makes images" if images else "GeLDA, which makes latents"
            raise InputProblem(
                "not_of_this_method",
                f"The generator is of {makes}: `{field}` does not apply.",
                field,
            )


def _spec(task: TaskRun) -> SampleSpec:
    return SampleSpec.model_validate(task.claim.spec)


def _config(task: TaskRun) -> dict[str, Any]:
    config: dict[str, Any] = task.claim.inputs["generator"]["config"]
    return config


def _sampler(task: TaskRun) -> SamplerSpec:
    """Return the spec's solver, or the settings that the generator's own job ended with."""
    return _spec(task).sampler or SamplerSpec.model_validate(_config(task)["sampler"])
