"""GLICO's stages choose, sample and publish (training, classifiers and `evaluate` have files of their own)."""

from typing import Any

from app.domain.tasks import Effects, NewModel, NewTask
from models.evaluation.image_settings import ImageChoice, ImageTrial
from models.glico.spec import GlicoSpec
from workers.pipelines.glico_arms import arms_of, first_setting
from workers.pipelines.glico_training import GlicoJob, planned_images
from workers.pipelines.image_results import Images, publish_images
from workers.pipelines.image_shards import draw_images, load_image_generator, planned_shards
from workers.pipelines.manifest import kept_artifacts
from workers.task import TaskRun


def choose(task: TaskRun) -> Effects:
    """Take each arm's setting that is best on `val`; plan the classifiers and the drawing."""
    job = GlicoJob(task)
    seeds = job.evaluate.seeds if job.evaluate.enabled else 1
    choice = _chosen(job)
    classifiers = [
        NewTask("classify", number, {"arm": arm, "seed": seed, "setting": dict(setting)})
        for number, (arm, setting, seed) in enumerate(
            (arm, setting, seed)
            for arm, setting in choice.settings.items()
            for seed in range(seeds)
        )
    ]
    wanted, skipped = planned_images(job.spec.plan, job.classes, job.counts)
    counts = {"requested": int(wanted.sum())}
    if skipped:
        counts["skipped"] = sum(skipped.values())
    return Effects(
        result=choice.as_json() | {"skipped": skipped},
        plan=(*classifiers, *planned_shards(wanted.tolist(), job.side)),
        counts=counts,
    )


def _chosen(job: GlicoJob) -> ImageChoice:
    names = ("arm", "setting", "score", "value")
    trials = [
        ImageTrial(**{name: found[name] for name in names})
        for found in job.task.claim.earlier.get("search", [])
    ]
    best = ImageChoice.best(trials)
    first = {
        arm: first_setting(arm, job.spec, job.evaluate) for arm in arms_of(job.spec, job.evaluate)
    }
    return ImageChoice(
        {arm: best.settings.get(arm, one) for arm, one in first.items()}, best.trials
    )


def sample(task: TaskRun) -> Effects:
    """Draw one shard."""
    spec = GlicoSpec.model_validate(task.claim.spec)
    generator = load_image_generator(task, task.claim.earlier["train"][0]["generator"])
    return draw_images(task, generator, spec.interpolation)


def publish(task: TaskRun) -> Effects:
    """Write the files that the job hands out, and make generator and classifier visible."""
    earlier, spec = task.claim.earlier, GlicoSpec.model_validate(task.claim.spec)
    prepared, trained = earlier["prepare"][0], earlier["train"][0]
    evaluated = earlier["evaluate"][0]
    trained_on = {"dataset": spec.dataset, "splits": prepared["splits"]["sha256"]}
    config: dict[str, Any] = trained["config"] | {"trained_on": trained_on}
    classifier = evaluated["classifier"]
    made = Images(
        results=earlier.get("sample", []),
        generator=trained["generator"],
        config=config,
        interpolation=spec.interpolation,
        skipped=earlier["choose"][0]["skipped"],
    )
    return publish_images(
        task,
        made,
        more=kept_artifacts(evaluated["files"]),
        facts={"side": prepared["side"], "compute": evaluated["compute"]},
        generator=NewModel(trained["generator"], config),
        classifier=NewModel(**classifier),
        summary={"trained_on": trained_on, **evaluated.get("summary", {})},
    )
