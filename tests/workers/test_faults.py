"""Workers are killed, drained, canceled and lied to; no job is lost, and none changes its result."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.jobs import TERMINAL, JobState
from benchmarks.processes import between_transactions, stop
from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service, Worker

Latents = Callable[..., bytes]

LONG = 60.0  # seconds of lease that no delay outlasts: where no worker dies or stands still


@pytest.fixture
def long(tiny: dict[str, Any]) -> dict[str, Any]:
    """The spec of a job that trains for seconds and saves often."""
    objective = {"steps": 1000, "batch_size": 16, "checkpoint_steps": 100}
    return tiny | {"objective": objective}


def submit(service: Service, spec: dict[str, Any], data: bytes) -> str:
    dataset, ingest = service.dataset(data)
    return service.job(spec | {"dataset": dataset}, evaluate={"enabled": False}, inputs=(ingest,))


def await_checkpoints(service: Service, job_id: str, count: int) -> None:
    service.until(
        lambda: service.events(job_id).count("job.checkpoint"),
        lambda found: found >= count,
        PATIENCE_SECONDS,
    )


def train_progress(service: Service, job_id: str) -> float:
    return next(step.value for step in service.get(job_id).steps if step.code == "train")


def living_child(service: Service, worker: Worker) -> Any:
    return service.until(lambda: worker.child, lambda child: child is not None, PATIENCE_SECONDS)


def test_training_that_is_killed_twice_gives_the_same_bytes(
    service: Service, long: dict[str, Any], latents: Latents
) -> None:
    """First the child dies alone, then the parent with its new child; a second worker ends it."""
    first = service.worker()
    calm = submit(service, long, latents())
    assert service.wait(calm).state is JobState.SUCCEEDED

    stormy = submit(service, long, latents())
    await_checkpoints(service, stormy, 2)
    old = living_child(service, first)
    old.send_signal(signal.SIGKILL)
    service.until(lambda: service.events(stormy), lambda e: "job.requeued" in e, PATIENCE_SECONDS)
    seen = service.events(stormy).count("job.checkpoint")
    await_checkpoints(service, stormy, seen + 2)
    orphan = living_child(service, first)
    assert orphan.pid != old.pid
    first.kill()
    assert service.get(stormy).state not in TERMINAL
    second = service.worker()
    killed_at = time.monotonic()
    # The lease runs out by itself: nobody is there who could give the task back.
    service.until(
        lambda: service.events(stormy).count("job.requeued"), (2).__eq__, PATIENCE_SECONDS
    )
    service.until(second.log.read_text, lambda log: "gelda.train" in log, PATIENCE_SECONDS)
    assert time.monotonic() - killed_at < 30
    assert not orphan.is_running()
    job = service.wait(stormy)
    assert job.state is JobState.SUCCEEDED, job.error
    assert service.events(stormy).count("job.requeued") == 2
    with service.store.read() as tx:
        page, _ = tx.events.page(service.tenant, stormy, 0, 1000)
    saved = [event.data["at"] for event in page if event.type == "job.checkpoint"]
    assert saved == sorted(set(saved)), "work before a checkpoint was done again"
    for name in ("synthetic.npz", "lineage.parquet"):
        assert service.artifacts(stormy)[name] == service.artifacts(calm)[name]
    with service.store.read() as tx:
        files = [tx.generators.by_job(service.tenant, job).files for job in (calm, stormy)]  # type: ignore[union-attr]
    assert files[0] == files[1]


def test_a_drained_worker_saves_and_releases_what_it_holds(
    service: Service, long: dict[str, Any], latents: Latents
) -> None:
    worker = service.worker()
    job_id = submit(service, long, latents())
    service.until(
        lambda: train_progress(service, job_id), lambda value: value > 0, PATIENCE_SECONDS
    )
    assert worker.end() < service.settings.drain_seconds
    assert worker.process.returncode == 0
    assert service.get(job_id).state not in TERMINAL
    assert "job.checkpoint" in service.events(job_id)
    # Nothing waits for the lease to run out: the next worker takes it at once.
    with service.store.write() as tx:
        claim = tx.tasks.claim(("cpu", "gpu"), "test", 60)
        assert claim is not None
        assert claim.checkpoint is not None
        tx.tasks.release(claim.lease)
    service.worker()
    assert service.wait(job_id).state is JobState.SUCCEEDED


def test_a_running_training_is_canceled_within_ten_seconds(
    service: Service, long: dict[str, Any], latents: Latents
) -> None:
    worker = service.worker()
    endless = long | {"objective": {"steps": 1_000_000, "batch_size": 32}}
    job_id = submit(service, endless, latents())
    service.until(
        lambda: service.get(job_id).state, lambda s: s is JobState.RUNNING, PATIENCE_SECONDS
    )
    service.until(
        lambda: train_progress(service, job_id), lambda value: value > 0, PATIENCE_SECONDS
    )
    child = living_child(service, worker)
    began = time.monotonic()
    with service.store.write() as tx:
        tx.jobs.request_cancel(service.tenant, job_id)
    assert service.wait(job_id, 15).state is JobState.CANCELED
    assert time.monotonic() - began < 10
    # It stopped by itself, so its models stay warm.
    assert living_child(service, worker).pid == child.pid


def test_a_child_that_does_not_listen_is_killed_for_a_cancel(
    service: Service, long: dict[str, Any], latents: Latents
) -> None:
    worker = service.worker(cancel_grace_seconds=0.5)
    job_id = submit(service, long | {"objective": {"steps": 1_000_000}}, latents())
    service.until(
        lambda: train_progress(service, job_id), lambda value: value > 0, PATIENCE_SECONDS
    )
    child = living_child(service, worker)
    child.send_signal(signal.SIGSTOP)
    with service.store.write() as tx:
        tx.jobs.request_cancel(service.tenant, job_id)
    assert service.wait(job_id, 10).state is JobState.CANCELED
    assert not child.is_running()
    following = submit(service, long | {"objective": {"steps": 10}}, latents(1))
    assert service.wait(following).state is JobState.SUCCEEDED


def test_a_child_that_hangs_fails_its_job_by_no_progress(
    service: Service, long: dict[str, Any], latents: Latents
) -> None:
    worker = service.worker(no_progress_seconds=8, cancel_grace_seconds=0.5)
    service.until(
        lambda: worker.is_warm, bool, PATIENCE_SECONDS
    )  # waiting for imports is none either
    job_id = submit(service, long | {"objective": {"steps": 1_000_000}}, latents())
    service.until(
        lambda: train_progress(service, job_id), lambda value: value > 0, PATIENCE_SECONDS
    )
    living_child(service, worker).send_signal(signal.SIGSTOP)
    job = service.wait(job_id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == "no_progress"


def test_a_job_past_its_deadline_fails(
    service: Service, long: dict[str, Any], latents: Latents
) -> None:
    service.worker()
    dataset, ingest = service.dataset(latents())
    assert service.wait(ingest).state is JobState.SUCCEEDED
    spec = long | {"dataset": dataset, "objective": {"steps": 1_000_000}}
    job = service.wait(service.job(spec, deadline_seconds=4.0, evaluate={"enabled": False}))
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == "deadline_exceeded"


def test_a_paused_worker_comes_back_too_late_and_is_refused(
    service: Service, long: dict[str, Any], latents: Latents
) -> None:
    paused = service.worker()
    job_id = submit(service, long, latents())
    await_checkpoints(service, job_id, 2)
    between_transactions(
        service.settings.home / "cultivar.db",
        lambda: stop(paused.process.pid),
        lambda: paused.process.send_signal(signal.SIGCONT),
    )
    second = service.worker()
    service.until(lambda: service.events(job_id), lambda e: "job.requeued" in e, PATIENCE_SECONDS)
    # Whatever the pause hit, the second worker has the same task now.
    service.until(second.log.read_text, lambda log: "attempt 2" in log, PATIENCE_SECONDS)
    paused.process.send_signal(signal.SIGCONT)
    job = service.wait(job_id)
    assert job.state is JobState.SUCCEEDED, job.error
    assert service.events(job_id).count("job.succeeded") == 1
    service.until(paused.log.read_text, lambda log: "LEASE_LOST" in log, PATIENCE_SECONDS)


def test_memory_that_does_not_suffice_is_tried_at_half_the_batch_once(
    service: Service, tiny: dict[str, Any], latents: Latents
) -> None:
    """The worker is not poisoned: the next job, which fits, succeeds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, hard))
    try:
        service.worker(lease_seconds=LONG)  # inherits the limit, as its children do
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    huge = tiny | {"denoiser": {"width": 4096, "blocks": 24}}
    job_id = submit(service, huge, latents())
    job = service.wait(job_id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == "gpu_out_of_memory"
    assert service.events(job_id).count("job.requeued") == 1
    assert service.wait(submit(service, tiny, latents(1))).state is JobState.SUCCEEDED
