"""The command line of a worker, and what its parent must not load."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.workers.conftest import Service


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
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


def test_a_worker_takes_tasks_of_its_classes_alone(service: Service) -> None:
    """In a burst, it ends by itself when there is nothing for it."""
    _, ingest = service.dataset(b"not an npz")
    other = service.worker("--classes", "gpu", "--burst")
    assert other.process.wait(30) == 0
    assert service.get(ingest).state == "queued"
    own = service.worker("--classes", "cpu", "--burst")
    assert own.process.wait(30) == 0
    assert service.get(ingest).state == "failed"
