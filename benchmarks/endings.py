"""Cancel jobs, and end workers, in every stage of every kind of job: seconds until it is so.

    python -m benchmarks.endings [--quick] [--tries N] [--seeds N] [--kinds KIND…] [--folder FOLDER]

A real API process, Redis and worker, tiny random models, jobs of seconds. For each try this process
does a new job's work up to a stage; then a worker, stopped until now, takes that stage's task. After a
share of the time that the task takes, drawn anew each time, its child is stopped for a moment so that the
job is in that stage for sure. Then the job is canceled over HTTP, and the seconds until it is terminal
counted, or the worker is sent SIGTERM, and the seconds until its process has ended counted. No crash may be charged
either way; a job whose worker was ended goes on from what that saved, and must end as one in peace does.
Every stage of every kind is canceled in and drained in at least once, the other tries are drawn.
Cost: a quarter of an hour on two free cores, 2 GB of memory.
Expect: canceled within 10 s, drained within 25 s, at p99. The exit status is 1 where one is missed, or
anything else is wrong.
"""

import os
import random
import signal
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.domain.jobs import PIPELINES
from app.domain.tasks import TaskState
from app.settings import Settings
from app.store.blobs import open_blobs
from benchmarks.endings_worker import PATIENCE_SECONDS, Hand, HeldWorker, problems_of, until
from benchmarks.endings_world import DESCRIBED_STAGES, World, make_world, models, stages
from benchmarks.face import Face
from benchmarks.load_queue import Times
from benchmarks.load_stack import Front, front, make_tenant

CANCEL, DRAIN = "cancel", "drain"
LIMITS = {CANCEL: 10.0, DRAIN: 25.0}
TRIES = 100
QUICK_KINDS = ["ingest", "sample"]
TERMINAL = {"succeeded", "partially_succeeded", "failed", "canceled", "expired"}


@dataclass(frozen=True)
class Try:
    """One ending.

    Attributes:
        share: of the stage's usual time after which it comes.
    """

    kind: str
    stage: str
    how: str
    share: float


@dataclass
class Endings:
    """The service, who works on its jobs, and how its jobs end in peace.

    Attributes:
        peace: how a job of each shape ends that nobody disturbs: its state and its error's code.
        took: seconds of each ending.
        wrong: what was not as it must be, each as a sentence.
    """

    service: Front
    world: World
    hand: Hand
    folder: Path
    peace: dict[tuple[str, bool], tuple[str, str | None]] = field(default_factory=dict)
    took: dict[tuple[str, str, str], Times] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    worker: HeldWorker | None = None

    def in_peace(self, kinds: list[str]) -> None:
        """Run a job of each shape to its end, so that it is known how it ends, and which stages it has."""
        for kind, stage in stages(kinds):
            shape = (kind, stage in DESCRIBED_STAGES)
            if shape in self.peace:
                continue
            job = self.world.submit(kind, stage)
            self.hand.work(job)
            self.peace[shape] = self._end_of(job)
            if kind == "gelda":
                self.world.generator = self.world.ask("GET", f"/v1/jobs/{job}")["result"][
                    "generator"
                ]

    def run(self, one: Try) -> float:
        """Make a job, bring it into the stage, end it; return the seconds."""
        worker = self.held_worker()
        share: float | None = one.share
        while True:
            job = self.world.submit(one.kind, one.stage)
            if not self.hand.work(job, before=one.stage):
                raise SystemExit(f"A job of kind {one.kind} has no task of stage {one.stage}.")
            if self._caught(worker, job, one, share):
                break
            # It was quicker than usual; the next one is caught at its beginning.
            share = None
            until(lambda job=job: self._state(job) in TERMINAL, "the job that got away")  # type: ignore[misc]
            worker.hold()
        seconds = self._cancel(worker, job) if one.how == CANCEL else self._drain(worker, job)
        self._check(one, job)
        return seconds

    def held_worker(self) -> HeldWorker:
        """Return a worker whose child is warm, stopped before it can claim anything."""
        if self.worker is None or self.worker.process.poll() is not None:
            database = Path(str(self.service.environment["CULTIVAR_DATABASE_URL"])[10:])
            self.worker = HeldWorker(self.service.environment, database, self.folder / "worker.log")
        self.worker.warm_child()
        self.worker.hold()
        return self.worker

    def _caught(self, worker: HeldWorker, job: str, one: Try, share: float | None) -> bool:
        """Let the worker take the stage's task, and stop its child in it; False where that came too late."""
        child = worker.warm_child()
        if share is None:
            child.suspend()
        worker.go()

        def running() -> bool:
            return any(
                row["state"] == TaskState.RUNNING and row["stage"] == one.stage
                for row in self.hand.tasks(job)
            )

        begun = until(lambda: running() or self._state(job) in TERMINAL, f"{one} to begin")
        assert begun
        if share is not None:
            time.sleep(share * self.hand.seconds.get((one.kind, one.stage), 0.0))
            child.suspend()
        if running():
            return True
        child.resume()
        return False

    def close(self) -> None:
        if self.worker is not None:
            self.worker.kill()

    def _cancel(self, worker: HeldWorker, job: str) -> float:
        began = time.monotonic()
        self.world.ask("POST", f"/v1/jobs/{job}/cancel")
        self._resume(worker)
        until(lambda: self._state(job) in TERMINAL, "a canceled job to end")
        return time.monotonic() - began

    def _drain(self, worker: HeldWorker, job: str) -> float:
        began = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        self._resume(worker)
        worker.process.wait(PATIENCE_SECONDS)
        seconds = time.monotonic() - began
        if worker.process.returncode != 0:
            self.wrong.append(f"a drained worker ended with status {worker.process.returncode}")
        self.hand.work(job)
        return seconds

    def _resume(self, worker: HeldWorker) -> None:
        child = worker.child
        if child is not None:
            child.resume()

    def _check(self, one: Try, job: str) -> None:
        expected = self.peace[one.kind, one.stage in DESCRIBED_STAGES]
        expected = ("canceled", None) if one.how == CANCEL else expected
        found = self._end_of(job)
        told = self.world.ask("GET", f"/v1/jobs/{job}/events", params={"limit": 1000})["data"]
        wrong = problems_of(self.hand.tasks(job), told)
        if found != expected:
            wrong.append(f"it ended as {found}, expected {expected}")
        self.wrong += [f"{one.how} in {one.kind}.{one.stage}, {job}: {what}" for what in wrong]

    def _state(self, job: str) -> str:
        state: str = self.world.ask("GET", f"/v1/jobs/{job}")["state"]
        return state

    def _end_of(self, job: str) -> tuple[str, str | None]:
        shown = self.world.ask("GET", f"/v1/jobs/{job}")
        return shown["state"], shown["error"]["code"] if shown["error"] else None


def drawn(kinds: list[str], tries: int, seed: int) -> Iterator[Try]:
    """Yield each stage of each kind with each ending once, then pairs that are drawn, up to so many tries."""
    chance = random.Random(seed)
    every = [(kind, stage, how) for kind, stage in stages(kinds) for how in (CANCEL, DRAIN)]
    chosen = every + [chance.choice(every) for _ in range(tries - len(every))]
    for kind, stage, how in chosen:
        yield Try(kind, stage, how, chance.random())


def measure(given: Namespace, folder: Path, face: Face) -> Endings:
    """Run all tries in a service of their own."""
    home = folder / "home"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["CULTIVAR_MODELS"] = str(models(folder / "models"))
    url = f"sqlite:///{folder / 'endings.db'}"
    more = {"models": os.environ["CULTIVAR_MODELS"], "log_level": "INFO"}
    with ExitStack() as stack:
        service = stack.enter_context(front(folder, url, **more))
        tenant = make_tenant(service.store, "endings")
        http = stack.enter_context(service.client(tenant, timeout=60))
        settings = Settings(home=home, database_url=url, models=more["models"])
        blobs = open_blobs(settings.blobs, home)
        hand = Hand(service.store, blobs, settings, blobs.staging / "hand")
        world, making = make_world(http)
        endings = Endings(service, world, hand, folder)
        stack.callback(endings.close)
        face.begin("jobs in peace")
        for job in making:
            hand.work(job)
        endings.in_peace(["gelda", *given.kinds] if "sample" in given.kinds else given.kinds)
        chosen = list(drawn(given.kinds, given.tries, given.seeds))
        for number, one in enumerate(chosen):
            face.begin(f"{one.how} in {one.kind}.{one.stage} ({number + 1} of {len(chosen)})")
            seconds = endings.run(one)
            times = endings.took.setdefault((one.kind, one.stage, one.how), Times())
            times.seconds.append(seconds)
        face.end()
    return endings


def rows_of(endings: Endings, kinds: list[str]) -> list[list[object]]:
    rows: list[list[object]] = []
    for kind, stage in stages(kinds):
        row: list[object] = [kind, stage]
        for how in (CANCEL, DRAIN):
            times = endings.took.get((kind, stage, how), Times())
            row += [len(times.seconds), *_spread(times)]
        rows.append(row)
    return rows


def _spread(times: Times) -> list[float | None]:
    """Return the median, p99 and longest, in seconds."""
    if not times.seconds:
        return [None, None, None]
    return [times.ms(0.5) / 1000, times.ms(0.99) / 1000, max(times.seconds)]


def main() -> int:
    face = Face(__doc__)
    add = face.parser.add_argument
    add("--tries", type=int, metavar="N", help=f"at least so many (default: {TRIES})")
    add("--kinds", nargs="+", choices=list(PIPELINES), metavar="KIND", help="of job (default: all)")
    add("--folder", type=Path, help="where the service is at home (default: the temporary one)")
    given = face.parse()
    given.kinds = given.kinds or (QUICK_KINDS if given.quick else list(PIPELINES))
    given.tries = given.tries or (0 if given.quick else TRIES)
    with tempfile.TemporaryDirectory(prefix="cv-", dir=given.folder) as name:
        endings = measure(given, Path(name), face)
    columns = [
        f"{how} {what}" for how in (CANCEL, DRAIN) for what in ("n", "p50 s", "p99 s", "max s")
    ]
    face.table(["kind", "stage", *columns], rows_of(endings, given.kinds))
    figures: dict[str, Any] = {}
    for how, limit in LIMITS.items():
        every = [s for (_, _, h), times in endings.took.items() if h == how for s in times.seconds]
        p50, p99, most = _spread(Times(every))
        figures[how] = {"tries": len(every), "p50": p50, "p99": p99, "max": most, "limit": limit}
        print(
            f"{how}: p50 {p50:.2f} s, p99 {p99:.2f} s, max {most:.2f} s; limit {limit:g} s at p99"
        )
    for sentence in endings.wrong:
        print(f"WRONG  {sentence}")
    kept = all(one["p99"] <= one["limit"] for one in figures.values()) and not endings.wrong
    face.finish({"reached": kept, "quick": given.quick, **figures, "wrong": endings.wrong})
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
