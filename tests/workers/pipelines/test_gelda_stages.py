"""A GeLDA job's tasks, run one by one in this process: stopped at any step, they change no byte."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.jobs import JobState
from app.domain.tasks import Claim
from models.errors import Interrupted
from tests.workers.test_pipeline import vectors_upload
from workers.messages import Checkpointed, FromChild
from workers.pipelines.registry import entry_point
from workers.shelf import Shelf
from workers.task import TaskRun

if TYPE_CHECKING:
    from tests.workers.conftest import Service

FILES = ("synthetic.npz", "lineage.parquet", "predictions.npz", "report.json")
EVALUATE: dict[str, Any] = {
    "seeds": 1,
    "temperatures": [1.0],
    "shares": [1.0],
    "penalties": [1.0],
    "controls": ["one_hot", "shuffled_vectors"],
}


@dataclass
class Here:
    """A worker without processes.

    Attributes:
        stops: by stage: the look at whether to stop at which its first attempts end.
        attempts: of each task, as (stage, shard, step of the checkpoint it started from).
    """

    service: Service
    folder: Path
    stops: dict[str, list[int]] = field(default_factory=dict)
    attempts: list[tuple[str, int, int]] = field(default_factory=list)

    def work(self) -> None:
        """Run tasks until none is left."""
        while True:
            with self.service.store.write() as tx:
                claim = tx.tasks.claim(("cpu", "gpu"), "here", 600)
            if claim is None:
                return
            saved = claim.checkpoint.step if claim.checkpoint else 0
            self.attempts.append((claim.stage, claim.shard, saved))
            self._run(claim)

    def _run(self, claim: Claim) -> None:
        task = self._task(claim)
        try:
            effects = entry_point(claim.kind, claim.stage)(task)
        except Interrupted:
            with self.service.store.write() as tx:
                tx.tasks.release(claim.lease)
            return
        with self.service.store.write() as tx:
            tx.tasks.succeed(claim.lease, effects)

    def _task(self, claim: Claim) -> TaskRun:
        def hear(said: FromChild) -> None:
            if isinstance(said, Checkpointed):
                with self.service.store.write() as tx:
                    tx.tasks.checkpoint(claim.lease, said.checkpoint)

        scratch = self.folder / f"attempt-{len(self.attempts)}"
        scratch.mkdir(parents=True)
        task = TaskRun(
            claim=claim,
            blobs=self.service.blobs,
            scratch=scratch,
            settings=self.service.settings,
            shelf=Shelf(),
            send=hear,
            asked_to_stop=lambda: False,
        )
        waiting = self.stops.get(claim.stage, [])
        looks = waiting.pop(0) if waiting else None
        task.should_stop = _stopping(looks)  # type: ignore[method-assign]  # to the very step
        return task


def _stopping(looks: int | None) -> Callable[[], bool]:
    seen = 0

    def should_stop() -> bool:
        nonlocal seen
        seen += 1
        return looks is not None and seen > looks

    return should_stop


@pytest.fixture
def spec(service: Service, tiny: dict[str, Any], latents: Callable[..., bytes]) -> dict[str, Any]:
    """A job with an adapter of its own, two layers to train at, and two rivals."""
    dataset, _ = service.dataset(latents())
    Here(service, service.settings.home / "ingest").work()
    names = ["class 0", "class 1", "class 2"]
    return tiny | {
        "dataset": dataset,
        "classes": {"source": "upload", "upload": vectors_upload(service, names)},
        "adapter": {"blocks": 1, "width": 16, "epochs": 30},
        "layer": [0, 1],
        "objective": {"steps": 60, "batch_size": 16, "checkpoint_steps": 20, "patience": 30},
    }


def made(service: Service, job_id: str) -> dict[str, str]:
    """Return sha-256 by name of all that a job hands out and that names no job."""
    assert service.get(job_id).state is JobState.SUCCEEDED, service.get(job_id).error
    files = {name: service.artifacts(job_id)[name] for name in FILES}
    with service.store.read() as tx:
        models = (
            tx.generators.by_job(service.tenant, job_id),
            tx.classifiers.by_job(service.tenant, job_id),
        )
    for model in models:
        assert model is not None
        files |= {name: blob["sha256"] for name, blob in model.files.items()}
    return files


def test_every_training_is_resumed_and_every_other_stage_begins_again(
    service: Service, spec: dict[str, Any], tmp_path: Path
) -> None:
    calm = service.job(spec, evaluate=EVALUATE)
    once = Here(service, tmp_path / "calm")
    once.work()
    trained = [("train", 0, 0), ("train", 1, 0)]
    assert once.attempts == [
        ("prepare", 0, 0),
        *trained,
        ("choose", 0, 0),
        ("sample", 0, 0),
        ("rivals", 0, 0),
        ("rivals", 1, 0),
        ("evaluate", 0, 0),
        ("publish", 0, 0),
    ]
    stops = {
        "prepare": [7],
        "train": [25, 20, 3],
        "choose": [2],
        "rivals": [45, 10],
        "evaluate": [2],
    }
    extra = {stage: len(looks) for stage, looks in stops.items()}
    stormy = service.job(spec, evaluate=EVALUATE)
    often = Here(service, tmp_path / "stormy", stops)
    often.work()
    tasks, runs = (Counter(stage for stage, *_ in one.attempts) for one in (once, often))
    assert runs - tasks == extra
    assert [step for stage, _, step in often.attempts if stage == "train"] == [0, 25, 45, 48, 0]
    assert [step for stage, _, step in often.attempts if stage == "rivals"] == [0, 45, 55, 0]
    again = [one for one in often.attempts if one[0] in {"prepare", "choose", "evaluate"}]
    assert [step for *_, step in again] == [0] * 6
    assert made(service, stormy) == made(service, calm)


def test_rivals_are_trained_at_the_layer_that_was_chosen_and_only_where_there_is_meaning(
    service: Service, spec: dict[str, Any], tmp_path: Path
) -> None:
    learned = service.job(spec | {"classes": {"source": "learned"}}, evaluate=EVALUATE)
    here = Here(service, tmp_path / "learned")
    here.work()
    assert service.get(learned).state is JobState.SUCCEEDED
    assert "rivals" not in {stage for stage, *_ in here.attempts}
    with service.store.read() as tx:
        generator = tx.generators.by_job(service.tenant, learned)
    assert generator is not None
    result = service.get(learned).result
    assert result is not None
    assert len(generator.config["front"]["widths"]) == result["layer"]


def test_without_evaluation_the_first_layer_stands_and_nothing_is_compared(
    service: Service, spec: dict[str, Any], tmp_path: Path
) -> None:
    job = service.job(spec | {"layer": [1, 0]}, evaluate={"enabled": False})
    here = Here(service, tmp_path / "plain")
    here.work()
    result = service.get(job).result
    assert result is not None
    assert result["layer"] == 1
    assert not {"report.json", "predictions.npz"} & set(service.artifacts(job))
    hashed = hashlib.sha256(service.read(job, "synthetic.npz")).hexdigest()
    assert hashed == service.artifacts(job)["synthetic.npz"]
