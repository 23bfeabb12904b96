"""A child that still imports what is slow: it does what it can without that, and listens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.jobs import JobState
from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service, Worker

CANCELED_SECONDS = 10.0

# Read by Python before anything else: torch is read no sooner than the file named there is.
SLOW_DISK = """
import importlib.machinery, os, sys, time
class Slow:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "torch":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name)
        read = spec.loader.exec_module
        def slowly(module):  # not in find_spec, which holds the lock of all imports
            while not os.path.exists(os.environ["TORCH_IS_READ"]):
                time.sleep(0.02)
            read(module)
        spec.loader.exec_module = slowly
        return spec
sys.meta_path.insert(0, Slow)
"""


@pytest.fixture
def slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk from which children started from now on read torch no sooner than this file is there."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW_DISK)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("TORCH_IS_READ", str(folder / "read"))
    return folder / "read"


def begun(service: Service, worker: Worker, spec: dict[str, Any]) -> str:
    """Submit a job and return it once the worker has handed its first task to the child."""
    job = service.job(spec, evaluate={"enabled": False})
    words = f"gelda.prepare[0] of {job}: attempt 1"
    service.until(worker.log.read_text, lambda log: words in log, PATIENCE_SECONDS)
    return job


def test_a_task_that_waits_for_imports_is_canceled_and_given_back_without_waiting_for_them(
    service: Service, tiny: dict[str, Any], latents: Callable[..., bytes], slow_disk: Path
) -> None:
    worker = service.worker(lease_seconds=60)
    dataset, ingest = service.dataset(latents())
    assert service.wait(ingest).state is JobState.SUCCEEDED, "ingest needs no torch"
    child = service.until(lambda: worker.child, bool, PATIENCE_SECONDS)
    spec = tiny | {"dataset": dataset}

    canceled = begun(service, worker, spec)
    asked_at = time.monotonic()
    with service.store.write() as tx:
        tx.jobs.request_cancel(service.tenant, canceled)
    assert service.wait(canceled).state is JobState.CANCELED
    assert time.monotonic() - asked_at < CANCELED_SECONDS
    assert worker.child == child, "it listened, so that nobody had to kill it"

    given_back = begun(service, worker, spec | {"plan": {"per_class": 1}})
    assert worker.end() < service.settings.drain_seconds / 2
    assert not slow_disk.exists(), "all this while it has waited for its imports"
    with service.store.read() as tx:
        page, _ = tx.events.page(service.tenant, given_back, 0, 1000)
    assert [e.data["reason"] for e in page if e.type == "job.requeued"] == ["released"]
