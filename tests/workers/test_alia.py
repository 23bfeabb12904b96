"""ALIA jobs by real workers: a worker killed among four changes no byte."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.jobs import JobState
from models.encoders.folder import FOLDERS_VARIABLE
from tests.workers.alia_zoo import (
    COLUMNS,
    OFF,
    TINY,
    archived,
    lines_of,
    made,
    manifest,
    models,
    zoo,
)
from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service

TRAIN = {"train": {"ant": 40, "bee": 35, "cat": 25}}
SPEC: dict[str, Any] = TINY | {
    "avoid_own": False,
    # Long enough to be caught in the middle of a task, of which there are four.
    "edit": TINY["edit"] | {"steps": 16},
    "plan": {"multiply": 2},
}


def test_a_worker_that_is_killed_among_four_in_the_middle_of_edits_changes_no_byte(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker in calm, then four, of which the one that is ahead is killed with its first edits half made."""
    monkeypatch.setenv(FOLDERS_VARIABLE, str(models(tmp_path / "models")))
    ahead = service.worker()
    dataset, ingest = service.dataset(zoo(TRAIN), "zoo.zip", "image", **COLUMNS)
    assert service.wait(ingest).state is JobState.SUCCEEDED, service.get(ingest).error
    calm = service.job(SPEC | {"dataset": dataset}, evaluate=OFF)
    assert service.wait(calm).state is JobState.SUCCEEDED, service.get(calm).error
    for _ in range(3):
        service.worker()
    stormy = service.job(SPEC | {"dataset": dataset}, evaluate=OFF)
    service.until(
        lambda: next(step.value for step in service.get(stormy).steps if step.code == "edit"),
        lambda value: value > 0,
        PATIENCE_SECONDS,
    )
    ahead.kill()
    begun = re.findall(rf"alia.edit\[(\d)\] of {stormy}: (attempt|left)", ahead.log.read_text())
    shard, last = begun[-1]
    assert last == "attempt", "it was killed after its edits"
    job = service.wait(stormy)
    assert job.state is JobState.SUCCEEDED, job.error
    assert "job.requeued" in service.events(stormy)
    again = f"alia.edit[{shard}] of {stormy}: attempt 2"
    assert [again in worker.log.read_text() for worker in service.workers].count(True) == 1
    assert made(service, stormy) == made(service, calm)
    assert manifest(service, stormy) == manifest(service, calm)
    assert len(lines_of(archived(service, stormy))) == 200
