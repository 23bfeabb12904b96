"""One storm from calm to calm: set up, let faults and jobs come, settle, judge."""

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.domain.problems import Problem
from app.store.blobs import LocalBlobs
from benchmarks import storm_audit, storm_blobs, storm_fence, storm_records, storm_work
from benchmarks.storm_checks import Verdict, check, end_of
from benchmarks.storm_disk import SmallDisk
from benchmarks.storm_faults import Faults
from benchmarks.storm_fence import Recovery
from benchmarks.storm_load import Client, Ledger, Load, Sent
from benchmarks.storm_work import Asked, Bedrock
from benchmarks.storm_world import ROOT, World, postgresql, world

_TICK_SECONDS = 0.02
_COUNT_SECONDS = 0.5
_START_SECONDS = 120.0
_STILL_SECONDS = 25.0
"""After a storm: how long nothing at all may change before what is unfinished counts as lost."""

_AHEAD = 0.2
"""By how much the share of faults may be ahead of the share of jobs that have ended."""

_LONGEST = 4
"""A storm ends after so many times its seconds, whatever is missing."""

_CLIENTS, _BACKLOG = 3, 16
_DISK_BYTES = 1 << 30

Say = Callable[[str], None]


class NoCalm(Exception):
    """Already without any fault the service did not do what it should."""


@dataclass(frozen=True)
class Forecast:
    """What a storm is to be like.

    Attributes:
        database: ``sqlite`` or ``postgresql``.
        faults: at least so many.
        jobs: acknowledged, at least so many.
        seconds: that it takes at least; it goes on until there were faults and jobs enough.
        armed: share of new workers and APIs that end at a failpoint.
        tree: whose code the service runs.
    """

    database: str
    faults: int
    jobs: int
    seconds: float
    seed: int
    workers: int
    armed: float
    tree: Path = ROOT


@dataclass(frozen=True)
class Report:
    """What a storm came to.

    Attributes:
        ends: jobs by kind and by how they ended.
        answers: of the API, by status; 0 where none came.
        cancels: that were asked for, and are no faults.
        seconds: of the storm itself, and until all had settled.
        disk: what stood for a full disk.
    """

    forecast: Forecast
    faults: dict[str, int]
    ends: dict[str, Counter[str]]
    answers: dict[int, int]
    cancels: int
    verdict: Verdict
    recovery: Recovery
    seconds: tuple[float, float]
    attempts: int
    blobs: int
    lease: float
    disk: str

    @property
    def broken(self) -> list[str]:
        """Every promise that was not kept, as sentences; empty where all were."""
        late = []
        if not self.recovery.kept:
            late = [f"recovery took {self.recovery.p99:.1f} s at p99"]
        return [*self.verdict.broken, *late]

    @property
    def short(self) -> bool:
        """Whether it ended before there were faults and jobs enough."""
        wanted, jobs = self.forecast, sum(sum(ends.values()) for ends in self.ends.values())
        return sum(self.faults.values()) < wanted.faults or jobs < wanted.jobs


def blow(forecast: Forecast, folder: Path, say: Say) -> Report:
    """Let a storm go over a service of its own in `folder`."""
    with contextlib.ExitStack() as stack:
        home = folder / "home"
        home.mkdir(parents=True)
        disk = _small_disk(home)
        if disk is not None:
            stack.callback(disk.close)
        url = f"sqlite:///{home / 'cultivar.db'}"
        if forecast.database == "postgresql":
            url = stack.enter_context(postgresql(folder / "postgresql"))
        there = stack.enter_context(
            world(folder, url, home=home, workers=forecast.workers, tree=forecast.tree)
        )
        return Storm(forecast, there, disk, say).run()


def _small_disk(home: Path) -> SmallDisk | None:
    try:
        return SmallDisk(home, _DISK_BYTES)
    except OSError:
        return None


class Storm:
    """A storm under way."""

    def __init__(self, forecast: Forecast, there: World, disk: SmallDisk | None, say: Say) -> None:
        self._forecast, self._world, self._say = forecast, there, say
        self._ledger = Ledger()
        self._stop = threading.Event()
        self._client = Client(there.url, there.key, self._ledger, self._stop)
        self._chance = random.Random(forecast.seed)
        self._faults = Faults(there, self._ledger, disk, self._chance, forecast.armed)
        self._reader = storm_blobs.Reader(there.settings.home / "blobs")
        self._disk = "a tmpfs that is full" if disk is not None else "failpoints"

    def run(self) -> Report:
        """Return once all has settled and been looked at."""
        for part in self._world.parts.values():
            part.start()
        try:
            rock = self._calm_before()
        except NoCalm as broken:
            self._stop.set()
            report = self._judge(0.0, 0.0)
            report.verdict.wrong.append(str(broken))
            return report
        load = Load(self._client, self._ledger, rock, self._forecast.seed)
        self._reader.start()
        began = time.monotonic()
        load.start(_CLIENTS, _BACKLOG)
        self._faults.open()
        self._storm()
        stormed = time.monotonic() - began
        self._say(f"the storm is over after {stormed:.0f} s; settling")
        self._faults.calm()
        answered = load.end(_START_SECONDS)
        self._settle()
        settled = time.monotonic() - began
        self._stop.set()
        self._reader.end()
        report = self._judge(stormed, settled)
        if not answered:
            report.verdict.lost.append("a request had no answer after the storm")
        report.verdict.wrong.extend(f"a client met {error!r}" for error in load.errors)
        return report

    def _calm_before(self) -> Bedrock:
        """Make the dataset and the generator that the storm's jobs refer to."""
        end = time.monotonic() + _START_SECONDS
        while not self._up():
            if time.monotonic() > end:
                raise NoCalm("the API does not answer in the calm before the storm")
            time.sleep(0.05)
        chance = random.Random(0)
        dataset = self._made(storm_work.ingest(chance), "dataset")
        generator = self._made(storm_work.gelda(chance, dataset, known=True), "generator")
        return Bedrock(dataset, generator)

    def _up(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self._world.url}/healthz", trust_env=False).is_success
        return False

    def _made(self, asked: Asked, noun: str) -> str:
        sent = Sent(f"calm-{noun}", asked)
        self._ledger.sent.append(sent)
        self._client.submit(sent)
        end = time.monotonic() + _START_SECONDS
        while True:
            job = self._client.ask("GET", f"/v1/jobs/{sent.job_id}")
            if job["state"] == "succeeded":
                return sent.dataset or str(job["result"][noun])
            if job["state"] == "failed" or time.monotonic() > end:
                raise NoCalm(f"in the calm before the storm, a job is {job['state']}")
            time.sleep(0.1)

    def _storm(self) -> None:
        """Strike until there were faults and jobs enough.

        Faults are spread over the time and over the jobs: where the machine is slow, so that jobs end
        slowly, the storm lasts longer and is none the fiercer.
        """
        wanted, began = self._forecast, time.monotonic()
        pause = wanted.seconds / wanted.faults
        strike_at, count_at = began + pause, began
        for now in _ticks():
            self._faults.tend()
            struck = self._faults.total / wanted.faults
            if now >= strike_at and struck <= self._ended() / wanted.jobs + _AHEAD:
                self._faults.strike()
                strike_at = now + self._chance.uniform(0.3, 1.7) * pause
            if now >= count_at:
                count_at = now + _COUNT_SECONDS
                self._count()
            if struck >= 1 and self._ended() >= wanted.jobs:
                return
            if now - began > _LONGEST * wanted.seconds:
                return

    def _ended(self) -> int:
        return len(self._ledger.acknowledged()) - self._ledger.open

    def _count(self) -> None:
        with contextlib.suppress(Problem):  # a fault holds the database; the next look tells
            self._ledger.open = storm_records.unfinished(self._world.store)

    def _settle(self) -> None:
        """Wait until every job has ended, or nothing has moved for long."""
        seen, moved_at = -1, time.monotonic()
        for now in _ticks(0.2):
            self._faults.tend()
            if not storm_records.unfinished(self._world.store):
                return
            latest = storm_audit.latest(self._world.store)
            if latest != seen:
                seen, moved_at = latest, now
            if now - moved_at > _STILL_SECONDS:
                return

    def _judge(self, stormed: float, settled: float) -> Report:
        store, lease = self._world.store, self._world.settings.lease_seconds
        records, tasks = storm_records.read(store), storm_audit.by_task(store)
        sent = self._ledger.sent
        # Redis holds no task and no lock: when it stood still, that excuses nobody.
        lives = [life for life in self._world.lives() if not life.writer.startswith("redis")]
        verdict = check(records, sent)
        verdict.wrong.extend(storm_fence.trespasses(tasks))
        verdict.wrong.extend(storm_fence.silent(tasks, lives, self._faults.shaken, lease))
        verdict.wrong.extend(self._ledger.wrong)
        blobs = LocalBlobs(self._world.settings.home / "blobs")
        verdict.corrupt.extend(storm_blobs.dangling(store, blobs))
        verdict.corrupt.extend(self._reader.torn)
        names = {one.job_id: one.asked.name for one in sent}
        ends: dict[str, Counter[str]] = {}
        for job_id in records.jobs:
            by_end = ends.setdefault(names.get(job_id, "never acknowledged"), Counter())
            by_end[end_of(records, job_id)] += 1
        return Report(
            forecast=self._forecast,
            faults=self._faults.all_counts(),
            ends=ends,
            answers=dict(self._ledger.answers),
            cancels=self._ledger.cancels,
            verdict=verdict,
            recovery=storm_fence.recoveries(tasks, lives, self._faults.shaken, lease),
            seconds=(stormed, settled),
            attempts=sum(storm_audit.is_claim(one) for task in tasks for one in task),
            blobs=self._reader.looked_at,
            lease=lease,
            disk=self._disk,
        )


def _ticks(pause: float = _TICK_SECONDS) -> Iterator[float]:
    """Yield the time again and again, with a pause between."""
    while True:
        yield time.monotonic()
        time.sleep(pause)
