"""A GeLDA job's tasks, run one by one in this process: stopped at any step, they change no byte."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.jobs import JobState
from tests.workers.here import Here
from tests.workers.test_pipeline import vectors_upload

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
