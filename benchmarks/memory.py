"""Train on more rows than should be in memory at once: how much the workers take.

    python -m benchmarks.memory [--quick] [--data FILE.npz] [--seeds N] [--folder FOLDER] [--steps N]
                                [--evaluate]

1,000,000 × 768 embeddings in float16 (1.5 GB, made up as they are written; or the npz given) are
uploaded to a service of its own and a `gelda` job trains on them: default network, a few steps, one
latent a class. Every 20 ms the kernel is asked for the memory of each of the service's worker
processes. `peak` is the resident memory of the worst of them, pages of memory-mapped files
included, although the kernel may take those back at any time; `anonymous` is the part that it may
not take back. The service's API and Redis are not counted. Training is longer with more steps, not
larger: a step reads one batch. `--evaluate` has the job measure itself as well, in its smallest form.
Needs Linux. Cost: a few minutes, and 4.5 times the file's size on the disk of FOLDER.
Expect: less than 3 GB.
"""

import shutil
import tempfile
import threading
import time
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil

from benchmarks.face import Face
from benchmarks.upload import service
from cultivar import Client, Job
from cultivar.specs import EvaluateSpec, Gelda

GB = 1_000_000_000
LIMIT_GB = 3.0
ROWS, DIM, CLASSES = 1_000_000, 768, 100
QUICK_ROWS, QUICK_DIM = 20_000, 64
CHUNK_ROWS = 10_000
LOOK_SECONDS, ASK_SECONDS = 0.02, 0.2
ROOM = 4.5
"""Bytes of disk for one of the file: itself, its parts, the whole that they make, the rows."""


@dataclass
class Peak:
    """Highest memory of any one worker process in a phase, bytes."""

    resident: int = 0
    anonymous: int = 0


class Workers(threading.Thread):
    """Reads the memory of a service's worker processes until told to stop.

    Attributes:
        phase: what the readings are put down to.
        peaks: by phase, in the order in which they came.
    """

    def __init__(self, service_pid: int) -> None:
        super().__init__(daemon=True)
        self._service = psutil.Process(service_pid)
        self._ended = threading.Event()
        self.phase = "start"
        self.peaks: dict[str, Peak] = {}

    def run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            peak = self.peaks.setdefault(self.phase, Peak())
            for pid in self._pids():
                # A process may end between the list and the reading.
                with suppress(OSError, KeyError):
                    status = _status(pid)
                    peak.resident = max(peak.resident, status["VmRSS"])
                    peak.anonymous = max(peak.anonymous, status["RssAnon"])

    def _pids(self) -> Iterator[int]:
        for process in self._service.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(part.startswith("workers") for part in process.cmdline()):
                    yield process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def _status(pid: int) -> dict[str, int]:
    """Return the lines of /proc/PID/status that are sizes, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) << 10 for name, value in pairs}


@dataclass(frozen=True)
class MadeUp:
    """Rows in 100 classes, in an npz that is written a chunk at a time."""

    rows: int
    dim: int
    seed: int
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.rows:,} × {self.dim} float16, seed {self.seed}")

    @property
    def size(self) -> int:
        return self.rows * (2 * self.dim + 8)

    def write(self, path: Path, face: Face) -> None:
        rng = np.random.default_rng(self.seed)
        means = 2 * rng.standard_normal((CLASSES, self.dim), dtype=np.float32)
        y = rng.permutation(np.arange(self.rows) % CLASSES)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            with archive.open("y.npy", "w") as out:
                np.lib.format.write_array(out, y, allow_pickle=False)
            with archive.open("x.npy", "w", force_zip64=True) as out:
                header = {"descr": "<f2", "fortran_order": False, "shape": (self.rows, self.dim)}
                np.lib.format.write_array_header_1_0(out, header)
                for start in range(0, self.rows, CHUNK_ROWS):
                    labels = y[start : start + CHUNK_ROWS]
                    x = rng.standard_normal((len(labels), self.dim), dtype=np.float32)
                    out.write((x + means[labels]).astype("<f2").tobytes())
                    face.progress(start + len(labels), self.rows)


def measure(source: MadeUp | Path, given: Namespace, face: Face) -> dict[str, Any]:
    """Upload and train once, in a service of its own; return the figures of one row."""
    with tempfile.TemporaryDirectory(prefix="cultivar-memory-", dir=given.folder) as name:
        folder = Path(name)
        size = source.size if isinstance(source, MadeUp) else source.stat().st_size
        free = shutil.disk_usage(folder).free
        if free < ROOM * size:
            raise SystemExit(f"{free / GB:.1f} GB are free in {folder.parent}; see --folder")
        path = source if isinstance(source, Path) else folder / "rows.npz"
        if isinstance(source, MadeUp):
            face.begin(f"{source.name}: write {size / GB:.2f} GB")
            source.write(path, face)
        began = time.monotonic()
        with service(folder) as (http, pid), Workers(pid) as workers:
            key = http.headers["Authorization"].removeprefix("Bearer ")
            with Client(str(http.base_url), key) as client:
                _run(client, path, given, workers, face)
    return _row(source.name, size, workers.peaks, time.monotonic() - began)


def _run(client: Client, path: Path, given: Namespace, workers: Workers, face: Face) -> None:
    face.begin("upload and read")
    workers.phase = "dataset"
    dataset = client.datasets.upload(path, progress=False).wait(progress=False)
    smallest = EvaluateSpec(seeds=1, shares=(1.0,), temperatures=(1.0,), controls=())
    # A checkpoint comes with any longer training, and takes memory while it is written.
    objective = {"steps": given.steps, "checkpoint_steps": max(1, given.steps // 2)}
    face.begin(f"train {given.steps} steps")
    job = client.jobs.create(
        Gelda(dataset=dataset, per_class=1, objective=objective),
        evaluate=smallest if given.evaluate else False,
    )
    _follow(job, workers)
    face.end()


def _follow(job: Job, workers: Workers) -> None:
    """Wait for the job's end and put down each reading to the stage that runs."""
    while not job.refresh().finished:
        running = [step.code for step in job.steps if step.value < step.max or not step.max]
        workers.phase = running[0] if running else "publish"
        time.sleep(ASK_SECONDS)
    job.raise_for_state()


def _row(name: str, size: int, peaks: dict[str, Peak], seconds: float) -> dict[str, Any]:
    return {
        "data": name,
        "gb": size / GB,
        "peak_gb": max(peak.resident for peak in peaks.values()) / GB,
        "anonymous_gb": max(peak.anonymous for peak in peaks.values()) / GB,
        "seconds": seconds,
        "phases": {
            phase: {"peak_gb": peak.resident / GB, "anonymous_gb": peak.anonymous / GB}
            for phase, peak in peaks.items()
        },
    }


def main() -> None:
    face = Face(__doc__)
    face.parser.add_argument("--folder", type=Path, help="whose disk is used (default: temporary)")
    face.parser.add_argument("--steps", type=int, default=50, help="of training (default: 50)")
    face.parser.add_argument("--evaluate", action="store_true", help="measure the job's report too")
    given = face.parse()
    shape = (QUICK_ROWS, QUICK_DIM) if given.quick else (ROWS, DIM)
    sources: list[MadeUp | Path] = list(given.data) * given.seeds
    sources = sources or [MadeUp(*shape, seed) for seed in range(given.seeds)]
    rows = [measure(source, given, face) for source in sources]
    face.table(
        ["data", "phase", "peak GB", "anonymous GB"],
        [
            [row["data"], phase, peak["peak_gb"], peak["anonymous_gb"]]
            for row in rows
            for phase, peak in row["phases"].items()
        ],
    )
    peak = max(row["peak_gb"] for row in rows)
    face.finish(
        {
            "peak_gb": peak,
            "anonymous_gb": max(row["anonymous_gb"] for row in rows),
            "limit_gb": LIMIT_GB,
            "reached": peak < LIMIT_GB,
            "evaluated": given.evaluate,
            "quick": given.quick,
            "rows": rows,
        }
    )


if __name__ == "__main__":
    main()
