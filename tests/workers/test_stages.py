"""Preparation and rivals are tasks like others: killed on the way, or shared out, they change no byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.domain.jobs import JobState
from tests.workers.conftest import PATIENCE_SECONDS
from tests.workers.test_pipeline import vectors_upload

if TYPE_CHECKING:
    from tests.workers.conftest import Service

FILES = ("synthetic.npz", "lineage.parquet", "predictions.npz", "report.json")


def kill_children_in(service: Service, job_id: str, stage: str) -> None:
    """Kill the child of every worker once the stage is under way."""
    service.until(
        lambda: next(step.value for step in service.get(job_id).steps if step.code == stage),
        lambda value: value > 0,
        PATIENCE_SECONDS,
    )
    for worker in service.workers:
        child = worker.child
        if child is not None:
            child.kill()


def test_rivals_that_are_killed_and_shared_out_give_the_same_bytes(
    service: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    """One worker in calm, then two of which both lose their child while they train rivals."""
    service.worker()
    dataset, ingest = service.dataset(latents())
    names = ["class 0", "class 1", "class 2"]
    spec = tiny | {
        "dataset": dataset,
        "classes": {"source": "upload", "upload": vectors_upload(service, names)},
        "adapter": {"blocks": 1, "width": 16, "epochs": 1},
        "layer": [0, 1],
        "objective": {"steps": 300, "batch_size": 16, "checkpoint_steps": 100},
    }
    controls = ["one_hot", "shuffled_vectors"]
    evaluate = {"seeds": 1, "temperatures": [1.0], "shares": [1.0], "penalties": [1.0]}
    evaluate |= {"controls": controls}
    calm = service.job(spec, evaluate=evaluate, inputs=(ingest,))
    assert service.wait(calm).state is JobState.SUCCEEDED
    service.worker()
    stormy = service.job(spec, evaluate=evaluate)
    kill_children_in(service, stormy, "rivals")
    job = service.wait(stormy)
    assert job.state is JobState.SUCCEEDED, job.error
    assert "job.requeued" in service.events(stormy)
    steps = {step.code: step.value for step in job.steps}
    assert (steps["train"], steps["rivals"]) == (2, 2)
    for name in FILES:
        assert service.artifacts(stormy)[name] == service.artifacts(calm)[name], name
    with service.store.read() as tx:
        made = [tx.classifiers.by_job(service.tenant, one) for one in (calm, stormy)]
    assert made[0].files == made[1].files  # type: ignore[union-attr]


def test_a_preparation_that_is_killed_gives_the_same_bytes(
    service: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    service.worker()
    dataset, ingest = service.dataset(latents())
    spec = tiny | {
        "dataset": dataset,
        "adapter": {"blocks": 2, "width": 16, "epochs": 400},
        "layer": 2,
    }
    jobs = [service.job(spec, evaluate={"enabled": False}, inputs=(ingest,)) for _ in range(2)]
    kill_children_in(service, jobs[0], "prepare")
    stormy, calm = (service.wait(job) for job in jobs)
    assert (stormy.state, calm.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    counts = [service.events(job).count("job.requeued") for job in jobs]
    assert counts == [1, 0]
    assert stormy.result is not None
    assert stormy.result["layer"] == 2
    for name in FILES[:2]:
        assert service.artifacts(stormy.id)[name] == service.artifacts(calm.id)[name]
