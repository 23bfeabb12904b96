"""A worker without processes: a job's tasks run one by one in the test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.problems import JobFailure
from app.domain.tasks import Claim
from app.store.references import referenced
from models.errors import InputProblem, Interrupted
from workers.messages import OUT_OF_MEMORY, Checkpointed, FromChild
from workers.pipelines.registry import entry_point
from workers.shelf import Shelf
from workers.task import TaskRun

if TYPE_CHECKING:
    from tests.workers.conftest import Service


@dataclass
class Here:
    """A worker without processes, behind which every blob goes that no row names.

    Attributes:
        stops: by stage: the look at whether to stop at which its first attempts end.
        attempts: of each task, as (stage, shard, step of the checkpoint it started from).
        shelf: what stays loaded between tasks.
    """

    service: Service
    folder: Path
    stops: dict[str, list[int]] = field(default_factory=dict)
    attempts: list[tuple[str, int, int]] = field(default_factory=list)
    shelf: Shelf = field(default_factory=Shelf)

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
            self._collect()

    def _collect(self) -> None:
        """Take away what no row names: a stage that needs it after all fails its test."""
        with self.service.store.snapshot() as tx:
            named = set(referenced(tx))
        for file in self.service.blobs.staging.parent.glob("*/??/*"):
            if (file.parent.parent.name, file.name) not in named:
                file.unlink()

    def _run(self, claim: Claim) -> None:
        task = self._task(claim)
        try:
            effects = entry_point(claim.kind, claim.stage)(task)
        except Interrupted:
            with self.service.store.write() as tx:
                tx.tasks.release(claim.lease)
            return
        except MemoryError:
            with self.service.store.write() as tx:
                tx.tasks.requeue(claim.lease, OUT_OF_MEMORY, halve_batch=True)
            return
        except InputProblem as problem:
            with self.service.store.write() as tx:
                why = JobFailure(problem.detail, code=problem.code, param=problem.param)
                tx.tasks.fail(claim.lease, why)
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
            shelf=self.shelf,
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
