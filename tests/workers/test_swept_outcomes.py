"""A worker ends tasks while its own calls, its child's and its decoder's fail, or kill them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

from app.domain.jobs import TERMINAL, JobState
from app.domain.records import DatasetState
from tests.sweep.injection import (
    FAULTS,
    IO_ERROR,
    KILL,
    NO_SPACE,
    RENAMES,
    SYNCS,
    WRITES,
    Fault,
    injected,
    read_trace,
    traced,
)
from tests.sweep.judging import faults_of
from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service, Worker

Latents = Callable[..., bytes]

CALLS = (*SYNCS, *RENAMES, *WRITES)
FAILURES = (
    ("fsync:when=1", NO_SPACE),  # the child's first blob
    ("rename:when=1", IO_ERROR),  # the decoder's answer, and the child's first blob
    ("pwrite64:when=3", IO_ERROR),  # a row of the parent
)
KILLS = (
    ("rename:when=2", KILL),  # the child's second blob
    ("fdatasync:when=2", KILL),  # a commit of the parent
)
FAILPOINTS = (
    "blob.write:1:enospc", "blob.before_sync:1:eio", "blob.before_rename:2", "store.before_commit:9",
    "store.after_commit:9",
)  # fmt: skip
LOOK_SECONDS = 0.02


@dataclass
class Tried:
    """A job that met a fault.

    Attributes:
        of_a_disk: whether every call that failed was one to a file: then the job goes on.
    """

    job: str
    dataset: str
    where: str
    of_a_disk: bool


@dataclass
class Sweep:
    """A worker that is replaced where it dies, and the jobs that met a fault in it."""

    service: Service
    latents: Latents
    log: Path
    worker: Worker | None = None
    tried: list[Tried] = field(default_factory=list)
    hits: int = 0

    def living(self) -> list[int]:
        """Return the processes of a worker that stands ready: its own, and its child's."""
        if self.worker is None or self.worker.process.poll() is not None:
            self.worker = self.service.worker(max_crashes=100, lease_seconds=6)
        worker = self.worker
        child = self.service.until(lambda: worker.child, lambda c: c is not None, PATIENCE_SECONDS)
        assert child is not None
        return [worker.process.pid, child.pid]

    def calm(self) -> dict[str, int]:
        """Return how often each call is made at most, by one thread, while a job runs in peace."""
        self.service.wait(self.service.dataset(self.latents(len(self.tried)))[1])
        pids = self.living()
        with traced(pids, self.log, CALLS):
            self.service.wait(self.service.dataset(self.latents(1000))[1])
        counts: dict[str, int] = {}
        for call in read_trace(self.log):
            counts[call.name] = max(call.number, counts.get(call.name, 0))
        return counts

    def attempt(self, call: str, fault: Fault) -> None:
        """Run a job until the fault has come, or the job has ended without it."""
        pids = self.living()
        with traced(pids, self.log, CALLS, f"{call}:{fault.strace}"):
            dataset, job = self.service.dataset(self.latents(len(self.tried)))
            end = time.monotonic() + PATIENCE_SECONDS
            while not (hit := self._hit(pids)) and self.service.get(job).state not in TERMINAL:
                assert time.monotonic() < end, f"{call}: neither the fault nor the end has come"
                time.sleep(LOOK_SECONDS)
            time.sleep(LOOK_SECONDS)
        self.hits += hit
        files = all(c.inside(self.service.settings.home) for c in injected(self.log))
        where = f"{fault.name} at {call}"
        self.tried.append(Tried(job, dataset, where, of_a_disk=fault is not KILL and files))

    def _hit(self, pids: list[int]) -> bool:
        assert self.worker is not None
        child = self.worker.child
        gone = self.worker.process.poll() is not None or child is None or child.pid != pids[1]
        return gone or bool(injected(self.log))

    def judged(self) -> list[str]:
        """Return what is wrong once all have ended."""
        self.living()
        wrong = []
        for one in self.tried:
            job = self.service.wait(one.job)
            events = self.service.events(one.job)
            if job.state is not JobState.SUCCEEDED and one.of_a_disk:
                wrong.append(f"{one.where}: the job ended {job.state}: {job.error}")
            if sum(name in {f"job.{state}" for state in TERMINAL} for name in events) != 1:
                wrong.append(f"{one.where}: it ended more than once: {events}")
            if one.of_a_disk and "crashed" in self._reasons(one.job):
                wrong.append(f"{one.where}: a crash was charged")
            wrong += [f"{one.where}: {fault}" for fault in self._dataset(one, job.state)]
        url, folder = self.service.settings.database, self.service.settings.home / "blobs"
        return wrong + faults_of(url, folder, self.service.tenant, [])

    def _reasons(self, job: str) -> list[str]:
        with self.service.store.read() as tx:
            page, _ = tx.events.page(self.service.tenant, job, 0, 1000)
        return [event.data["reason"] for event in page if event.type == "job.requeued"]

    def _dataset(self, one: Tried, state: JobState) -> list[str]:
        with self.service.store.read() as tx:
            dataset = tx.datasets.get(self.service.tenant, one.dataset)
        assert dataset is not None
        if (dataset.state is DatasetState.READY) is not (state is JobState.SUCCEEDED):
            return [f"the job ended {state}, the dataset is {dataset.state}"]
        columns = (dataset.manifest or {}).get("columns", {}).values()
        shas = [column["sha256"] for column in columns if "sha256" in column]
        there = [self.service.blobs.verify(self.service.tenant, sha256) for sha256 in shas]
        return [] if all(there) else ["the dataset names a blob that is not there"]


@pytest.fixture
def sweep(service: Service, latents: Latents, tmp_path: Path) -> Sweep:
    return Sweep(service, latents, tmp_path / "trace")


@pytest.mark.timeout(600)
def test_a_task_s_end_survives_every_fault(
    by_strace: bool, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_strace:
        for few in (FAILURES, KILLS):
            for call, fault in few:
                sweep.attempt(call, fault)
            # What waits to be tried again must not meet the kills: it is to be charged none.
            assert sweep.judged() == []
        print(f"a worker's task, by strace: {sweep.hits} hits in {len(FAILURES + KILLS)} tries")
        assert sweep.hits == len(FAILURES + KILLS)
    else:
        by_failpoints(sweep, monkeypatch)
        assert sweep.judged() == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_task_s_end_survives_the_fault_at_every_call(
    by_strace: bool, sweep: Sweep, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not by_strace:
        by_failpoints(sweep, monkeypatch)
        assert sweep.judged() == []
        return
    calls = [(name, k) for name, most in sweep.calm().items() for k in range(1, most + 1)]
    for name, number in calls:
        sweep.attempt(f"{name}:when={number}", fault)
    kind = make_url(sweep.service.settings.database).get_backend_name()
    print(f"{fault.name} in a worker on {kind}, by strace: {sweep.hits} hits at {len(calls)} calls")
    assert sweep.judged() == []


def by_failpoints(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a job in a worker of its own for each named place."""
    for name in FAILPOINTS:
        with monkeypatch.context() as patch:
            patch.setenv("CULTIVAR_FAILPOINT", name)
            worker = sweep.service.worker(max_crashes=100, lease_seconds=6)
        dataset, job = sweep.service.dataset(sweep.latents(len(sweep.tried)))
        of_a_disk = name.endswith((":enospc", ":eio"))
        if of_a_disk:  # what waits to be tried again must not meet a kill: it is to be charged none
            sweep.service.wait(job)
        else:
            sweep.service.until(
                lambda job=job, worker=worker: (  # type: ignore[misc]
                    sweep.service.get(job).state in TERMINAL
                    or "job.requeued" in sweep.service.events(job)
                    or worker.process.poll() is not None
                ),
                bool,
                PATIENCE_SECONDS,
            )
        worker.kill()
        sweep.tried.append(Tried(job, dataset, name, of_a_disk))
