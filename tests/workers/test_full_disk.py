"""A disk that is really full: a small file system of its own, filled to the last page."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from app.domain.jobs import JobState
from app.settings import Settings
from tests.conftest import fill
from tests.workers.conftest import PATIENCE_SECONDS
from workers.disk import refusal
from workers.pipelines.mapped import new_array

if TYPE_CHECKING:
    from tests.workers.conftest import Service

MIB = 1 << 20
X = np.arange(2 * MIB, dtype=np.float32)

WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: path.write_bytes(X.tobytes()),
    "numpy's npy": lambda path: np.save(path, X),
    "numpy's npz": lambda path: np.savez(path, x=X),
    "a mapped array": lambda path: new_array(path, np.float32, X.shape),
    "safetensors": lambda path: save_file({"x": X}, path),
    "Parquet": lambda path: pq.write_table(pa.table({"x": X}), path),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_known_whoever_wrote(disk: Path, write: Callable[[Path], object]) -> None:
    with pytest.raises(Exception) as caught:
        write(disk / "file.npz")
    assert refusal(caught.value) == errno.ENOSPC


def test_other_errors_are_not_the_disk_s() -> None:
    assert refusal(OSError(errno.EIO, "broken")) == errno.EIO
    assert refusal(FileNotFoundError(errno.ENOENT, "gone")) is None
    assert refusal(ValueError("12 requested and 11 written")) is None
    assert refusal(OSError("a sentence")) is None


@pytest.mark.parametrize(
    "left",
    [64 << 10, *(pytest.param(left << 10, marks=pytest.mark.slow) for left in range(4, 260, 12))],
)
def test_a_job_waits_for_room_and_no_crash_is_charged(
    start: Callable[[Settings], Service],
    settings: Settings,
    disk: Path,
    tiny: dict[str, Any],
    latents: Callable[..., bytes],
    left: int,
) -> None:
    blobs = (disk / "blobs").as_uri()
    service = start(settings.model_copy(update={"blob_url": blobs}))
    dataset, ingest = service.dataset(latents())
    job_id = service.job(tiny | {"dataset": dataset}, evaluate={"enabled": False}, inputs=(ingest,))
    service.worker(
        max_crashes=1, lease_seconds=60
    )  # no delay of a busy machine is to end the lease
    service.until(lambda: service.workers[0].child, bool, PATIENCE_SECONDS)
    ballast = disk / "ballast"
    fill(ballast, left)
    service.until(lambda: reasons(service, ingest, job_id), bool, PATIENCE_SECONDS)
    ballast.unlink()
    assert service.wait(job_id).state is JobState.SUCCEEDED, service.get(job_id).error
    assert set(reasons(service, ingest, job_id)) == {"out_of_space"}
    for sha256 in service.artifacts(job_id).values():
        assert service.blobs.verify(service.tenant, sha256)


def reasons(service: Service, *jobs: str) -> list[str]:
    """Return why tasks of the jobs were put back."""
    with service.store.read() as tx:
        pages = [tx.events.page(service.tenant, job, 0, 1000)[0] for job in jobs]
    return [e.data["reason"] for page in pages for e in page if e.type == "job.requeued"]
