"""Who works on the jobs whose endings are measured: a real worker that can be held, and this process."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
from sqlalchemy import RowMapping, select

from app.domain.problems import JobFailure
from app.domain.tasks import Claim, TaskState
from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.database import Store
from app.store.tables import tasks
from benchmarks import processes
from models.errors import InputProblem
from workers.pipelines.registry import entry_point
from workers.shelf import Shelf
from workers.task import TaskRun

PATIENCE_SECONDS = 600.0
_LOOK_SECONDS = 0.01
_LEAST_SECONDS, _LOOKS = 1.0, 20
"""A child that has computed for so long, and is asleep whenever it is looked at, has loaded what it loads at its
start. A share of a core says less: on a busy machine one that loads may have none."""

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str) -> T:
    """Look until there is something; end the program where there never is."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"after {PATIENCE_SECONDS:g} s still waiting: {what}")
        time.sleep(_LOOK_SECONDS)
    return found


class HeldWorker:
    """`python -m workers`, stopped while this process does the work before the stage that is looked at."""

    def __init__(self, environment: dict[str, str], database: Path, log: Path) -> None:
        self._database = database
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "workers"], env=environment, stdout=out, stderr=out
            )

    @property
    def child(self) -> psutil.Process | None:
        return processes.warm_child(self.process.pid)

    def warm_child(self) -> psutil.Process:
        """Return its child, once that has loaded what it loads at its start."""

        def idle() -> psutil.Process | None:
            child = self.child
            if child is None or child.cpu_times().user < _LEAST_SECONDS:
                return None
            for _ in range(_LOOKS):
                if not _asleep(child.pid):
                    return None
                time.sleep(_LOOK_SECONDS)
            return child

        return until(idle, "a worker's child that is warm")

    def hold(self) -> None:
        """Stop it between two transactions."""
        processes.between_transactions(
            self._database, lambda: processes.stop(self.process.pid), self.go
        )

    def go(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _asleep(pid: int) -> bool:
    """Whether no thread of a process runs, or would if it were let."""
    states = Path(f"/proc/{pid}/task").glob("*/stat")
    try:
        return all(path.read_text().rpartition(")")[2].split()[0] == "S" for path in states)
    except OSError:  # one has ended meanwhile
        return False


@dataclass
class Hand:
    """This process as a worker, which runs one task after the other and can stop before any stage.

    Attributes:
        seconds: what one task of each stage took at most, by kind and stage.
    """

    store: Store
    blobs: BlobStore
    settings: Settings
    folder: Path
    shelf: Shelf = field(default_factory=Shelf)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    _ran: int = 0

    def work(self, job: str, before: str | None = None) -> bool:
        """Run a job's tasks to its end, or until those of a stage can be claimed; whether they can.

        Nothing else may be there to claim.
        """
        while (stage := self._queued(job)) is not None:
            if stage == before:
                return True
            with self.store.write() as tx:
                claim = tx.tasks.claim(("cpu", "gpu"), "hand", 3600.0)
            assert claim is not None
            assert claim.job_id == job, "another job's task was there to claim"
            self._run(claim)
        return False

    def tasks(self, job: str) -> list[RowMapping]:
        with self.store.read() as tx:
            return list(tx.rows(select(tasks).where(tasks.c.job_id == job)))

    def _queued(self, job: str) -> str | None:
        """Return the stage of which a task can be claimed, or soon can: one that was put back may wait."""
        rows = [row for row in self.tasks(job) if row["state"] == TaskState.QUEUED]
        return rows[0]["stage"] if rows else None

    def _run(self, claim: Claim) -> None:
        scratch = self.folder / f"task-{self._ran}"
        self._ran += 1
        scratch.mkdir(parents=True)
        task = TaskRun(
            claim=claim, blobs=self.blobs, scratch=scratch, settings=self.settings,
            shelf=self.shelf, send=lambda _: None, asked_to_stop=lambda: False,
        )  # fmt: skip
        began = time.monotonic()
        try:
            effects = entry_point(claim.kind, claim.stage)(task)
        except InputProblem as problem:
            with self.store.write() as tx:
                why = JobFailure(problem.detail, code=problem.code, param=problem.param)
                tx.tasks.fail(claim.lease, why)
            return
        took, key = time.monotonic() - began, (claim.kind, claim.stage)
        self.seconds[key] = max(took, self.seconds.get(key, 0.0))
        with self.store.write() as tx:
            tx.tasks.succeed(claim.lease, effects)


def problems_of(rows: list[RowMapping], events: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with how a job's tasks were left: crashes that were charged."""
    wrong = [f"{row['stage']}: {row['crash_count']} crashes" for row in rows if row["crash_count"]]
    reasons = {event["data"].get("reason") for event in events if event["type"] == "job.requeued"}
    return wrong + [f"a task was put back: {reason}" for reason in reasons - {"released"}]
