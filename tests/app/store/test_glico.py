"""The stages of a `glico` job: what each plans, in which order they run, what each is told."""

from typing import Any

from app.domain.jobs import JobState
from app.domain.tasks import Effects, NewModel, NewTask

SHA = "e" * 64
MODEL = NewModel({"generator.safetensors": {"sha256": SHA, "bytes": 5}}, {"method": "glico"})


def tasks(stage: str, *names: str) -> tuple[NewTask, ...]:
    return tuple(NewTask(stage, number, {"arm": name}) for number, name in enumerate(names))


def test_what_is_searched_is_planned_before_the_generator_and_runs_after_it(lab: Any) -> None:
    job = lab.job("glico")
    prepare = lab.claimed("cpu")
    assert (prepare.stage, set(prepare.inputs)) == ("prepare", {"dataset"})
    lab.succeed(prepare, Effects({"side": 32}, plan=tasks("search", "real", "glico")))
    train = lab.claimed()
    assert (train.stage, lab.claim()) == ("train", None)
    lab.succeed(train, Effects({"generator": SHA}))
    searches = [lab.claimed("gpu"), lab.claimed("gpu")]
    assert [one.payload["arm"] for one in searches] == ["real", "glico"]
    assert all(one.earlier["prepare"] == [{"side": 32}] for one in searches)
    for one in searches:
        lab.succeed(one, Effects(one.payload))
    choose = lab.claimed()
    assert (choose.stage, choose.earlier["search"]) == (
        "choose",
        [{"arm": "real"}, {"arm": "glico"}],
    )
    plan = (*tasks("sample", "glico"), *tasks("classify", "real", "glico"))
    lab.succeed(choose, Effects(plan=plan))
    ran = [lab.claimed() for _ in range(2)]
    assert ([one.stage for one in ran], lab.claim()) == (["classify", "classify"], None)
    for one in ran:
        lab.succeed(one)
    lab.succeed(lab.claimed(), Effects(counts={"generated": 3}))
    lab.succeed(lab.claimed())
    lab.succeed(lab.claimed(), Effects(generator=MODEL, classifier=MODEL))
    done = lab.see(job.id)
    assert (done.state, done.counts) == (JobState.SUCCEEDED, {"generated": 3})
    assert [step.code for step in done.steps if step.value == step.max] == [
        *("prepare", "train", "search", "choose", "classify", "sample", "evaluate", "publish")
    ]


def test_a_job_that_measures_nothing_searches_and_classifies_nothing(lab: Any) -> None:
    lab.job("glico", evaluate={"enabled": False})
    stages = []
    for effects in (
        *(Effects(), Effects(), Effects(plan=tasks("sample", "glico"))),
        *(Effects(), Effects(), Effects()),
    ):
        claim = lab.claimed()
        stages.append(claim.stage)
        lab.succeed(claim, effects)
    assert stages == ["prepare", "train", "choose", "sample", "evaluate", "publish"]


def test_a_sample_job_is_told_the_generator_that_a_glico_job_made(lab: Any) -> None:
    made = lab.job("glico")
    spec = {"generator": made.id, "plan": {"per_class": 3}}
    waiting = lab.job("sample", spec=spec, inputs=(made.id,))
    for effects in (*(Effects(),) * 4, Effects(generator=MODEL)):
        lab.succeed(lab.claimed(), effects)
    claim = lab.claimed()
    assert (claim.job_id, claim.stage) == (waiting.id, "plan")
    assert claim.inputs["generator"]["config"] == {"method": "glico"}
