"""The command line of a worker, and what its parent must not load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def test_the_parent_loads_no_machine_learning() -> None:
    heavy = "{'torch', 'transformers', 'sklearn', 'matplotlib', 'numpy', 'pyarrow'}"
    done = run("-c", f"import sys, workers.__main__; print({heavy} & set(sys.modules))")
    assert done.stdout == "set()\n", done.stderr


def test_the_decoding_process_loads_no_torch() -> None:
    done = run("-c", "import sys, workers.decoder; print('torch' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


def test_help_names_the_options() -> None:
    done = run("-m", "workers", "--help")
    assert done.returncode == 0
    assert "--classes" in done.stdout


@pytest.mark.parametrize("classes", ["tpu", "", "cpu,tpu"])
def test_an_unknown_class_is_refused(classes: str) -> None:
    done = run("-m", "workers", "--classes", classes)
    assert done.returncode == 2
    assert "expected some of cpu, gpu" in done.stderr


def served(service: Service) -> set[str]:
    with service.store.read() as tx:
        return tx.workers.served()


def test_a_worker_is_in_the_register_from_its_start_to_its_end(service: Service) -> None:
    worker = service.worker("--classes", "gpu")
    service.until(lambda: served(service), {"gpu"}.__eq__, PATIENCE_SECONDS)
    worker.end()
    assert served(service) == set()


def test_an_idle_worker_that_seldom_looks_says_that_it_lives(service: Service) -> None:
    service.worker(poll_seconds=600)
    service.until(lambda: served(service), {"cpu", "gpu"}.__eq__, PATIENCE_SECONDS)
    with service.store.write() as tx:
        tx.workers.purge(0)  # as if it had been silent for long
    service.until(lambda: served(service), {"cpu", "gpu"}.__eq__, PATIENCE_SECONDS)


def test_a_worker_at_work_says_that_it_lives(
    service: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    service.worker()
    dataset, _ = service.dataset(latents())
    long = {"steps": 1_000_000, "batch_size": 16, "checkpoint_steps": 1_000_000}
    job = service.job(tiny | {"dataset": dataset, "objective": long})
    service.until(
        lambda: service.get(job).steps[0].value, lambda value: value > 0, PATIENCE_SECONDS
    )
    with service.store.write() as tx:
        tx.workers.purge(0)
    service.until(lambda: served(service), {"cpu", "gpu"}.__eq__, PATIENCE_SECONDS)
    assert service.get(job).state == "running"


def test_a_worker_takes_tasks_of_its_classes_alone(service: Service) -> None:
    """In a burst, it ends by itself when there is nothing for it."""
    _, ingest = service.dataset(b"not an npz")
    other = service.worker("--classes", "gpu", "--burst")
    assert other.process.wait(PATIENCE_SECONDS) == 0
    assert service.get(ingest).state == "queued"
    own = service.worker("--classes", "cpu", "--burst")
    assert own.process.wait(PATIENCE_SECONDS) == 0
    assert service.get(ingest).state == "failed"
