"""A GLICO job's tasks, run one by one in this process: stopped at any step, they change no byte."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.jobs import JobState
from tests.workers.here import Here
from tests.workers.pictures import archive

if TYPE_CHECKING:
    from tests.workers.conftest import Service

FILES = ("synthetic.zip", "lineage.parquet", "predictions.npz", "samples.png", "paths.png")
SIZES = {"ant": 24, "bee": 16, "cat": 10}
EVALUATE: dict[str, Any] = {
    "seeds": 2,
    "penalties": [1.0, 4.0],
    "budget": 2,
    "controls": ["cutout", "cross_fade", "published"],
}
TINY: dict[str, Any] = {
    "kind": "glico",
    "decoder": {"code_dim": 16, "width": 8},
    "reconstruction": {"steps": 8, "batch_size": 8, "checkpoint_steps": 4},
    "plan": {"per_class": 5},
    "classifier": {
        "network": "resnet-8", "width": 4, "steps": 6, "batch_size": 8, "checkpoint_steps": 3,
    },
}  # fmt: skip


@pytest.fixture
def spec(service: Service) -> dict[str, Any]:
    dataset, ingest = service.dataset(archive(SIZES), "zoo.zip", "image")
    Here(service, service.settings.home / "ingest").work()
    assert service.get(ingest).state is JobState.SUCCEEDED, service.get(ingest).error
    return TINY | {"dataset": dataset}


def made(service: Service, job_id: str) -> dict[str, str]:
    """Return sha-256 by name of all that a job hands out and that names no job; seconds apart."""
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


def report(service: Service, job_id: str) -> dict[str, Any]:
    """Return a job's report without what depends on who worked on it: seconds."""
    found: dict[str, Any] = json.loads(service.read(job_id, "report.json"))
    for arm in (
        found["facts"]["compute"]["generator"],
        *found["facts"]["compute"]["classifiers"].values(),
    ):
        for name in [name for name in arm if name.startswith("seconds")]:
            assert arm.pop(name) > 0
    return found


def test_every_training_is_resumed_and_no_byte_changes(
    service: Service, spec: dict[str, Any], tmp_path: Path
) -> None:
    calm = service.job(spec, evaluate=EVALUATE)
    once = Here(service, tmp_path / "calm")
    once.work()
    tasks = Counter(stage for stage, *_ in once.attempts)
    assert tasks == {
        "prepare": 1, "train": 1, "search": 10, "choose": 1, "classify": 10, "sample": 1,
        "evaluate": 1, "publish": 1,
    }  # fmt: skip
    stops = {"prepare": [7], "train": [5, 2], "search": [4], "sample": [0], "evaluate": [3],
             "classify": [6, 0, 0, 4], "publish": [4]}  # fmt: skip
    stormy = service.job(spec, evaluate=EVALUATE)
    often = Here(service, tmp_path / "stormy", {stage: [*looks] for stage, looks in stops.items()})
    often.work()
    runs = Counter(stage for stage, *_ in often.attempts)
    assert [step for stage, _, step in often.attempts if stage == "train"] == [0, 5, 7]
    assert [step for stage, shard, step in often.attempts if (stage, shard) == ("search", 0)] == [
        0,
        4,
    ]
    assert runs - tasks
    assert made(service, stormy) == made(service, calm)
    assert report(service, stormy) == report(service, calm)
