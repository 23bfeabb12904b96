"""GLICO jobs by real workers: killed on the way or shared out, they change no byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.domain.jobs import JobState
from tests.workers.conftest import PATIENCE_SECONDS
from tests.workers.pictures import archive
from tests.workers.pipelines.test_glico_stages import SIZES, TINY, made, report

if TYPE_CHECKING:
    from tests.workers.conftest import Service

EVALUATE: dict[str, Any] = {
    "seeds": 2, "penalties": [1.0, 4.0], "budget": 2, "controls": ["cross_fade"],
}  # fmt: skip


@pytest.fixture
def spec(service: Service) -> dict[str, Any]:
    """The spec of a job whose generator trains for seconds and saves often."""
    service.worker()
    dataset, ingest = service.dataset(archive(SIZES), "zoo.zip", "image")
    assert service.wait(ingest).state is JobState.SUCCEEDED
    reconstruction = {"steps": 400, "batch_size": 8, "checkpoint_steps": 50}
    return TINY | {"dataset": dataset, "reconstruction": reconstruction}


def test_a_job_that_is_killed_in_training_and_then_shared_out_gives_the_same_bytes(
    service: Service, spec: dict[str, Any]
) -> None:
    calm = service.job(spec, evaluate=EVALUATE)
    assert service.wait(calm).state is JobState.SUCCEEDED, service.get(calm).error
    service.worker()
    stormy = service.job(spec, evaluate=EVALUATE)
    service.until(
        lambda: service.events(stormy).count("job.checkpoint"),
        lambda found: found >= 2,
        PATIENCE_SECONDS,
    )
    for worker in service.workers:  # one of them has it
        if worker.child is not None:
            worker.child.kill()
    job = service.wait(stormy)
    assert job.state is JobState.SUCCEEDED, job.error
    assert "job.requeued" in service.events(stormy)
    with service.store.read() as tx:
        page, _ = tx.events.page(service.tenant, stormy, 0, 1000)
    saved = [event.data["at"] for event in page if event.type == "job.checkpoint"]
    assert saved[:7] == [50, 100, 150, 200, 250, 300, 350], (
        "work before a checkpoint was done again"
    )
    assert all("glico." in worker.log.read_text() for worker in service.workers)
    assert made(service, stormy) == made(service, calm)
    assert report(service, stormy) == report(service, calm)


def test_a_running_training_is_canceled_at_once(service: Service, spec: dict[str, Any]) -> None:
    endless = spec | {"reconstruction": {"steps": 1_000_000, "batch_size": 8}}
    job = service.job(endless, evaluate=EVALUATE)
    service.until(
        lambda: next(step.value for step in service.get(job).steps if step.code == "train"),
        lambda value: value > 0,
        PATIENCE_SECONDS,
    )
    with service.store.write() as tx:
        tx.jobs.request_cancel(service.tenant, job)
    assert service.wait(job, 15).state is JobState.CANCELED
