"""One short scene for each mutant: it tells what is broken, which is nothing where the code is whole.

Real processes with a lease of one second. A scene that does not come about as scripted raises.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

from app.domain.jobs import JobState
from app.reconcile import ROLE
from app.store.blobs import LocalBlobs
from benchmarks import storm_audit, storm_fence
from benchmarks.processes import between_transactions
from benchmarks.storm_blobs import Reader, dangling
from benchmarks.storm_parts import Part
from benchmarks.storm_work import embeddings
from benchmarks.storm_world import World, world
from tests.workers.conftest import Service

T = TypeVar("T")

LEASE_SECONDS = 1.5
PATIENCE_SECONDS = 60.0
TIMES = {
    "lease_seconds": LEASE_SECONDS,
    "heartbeat_seconds": 0.2,
    "reconcile_seconds": 0.1,
    "poll_seconds": 0.1,
    "cancel_grace_seconds": 0.2,
}
HARNESS = "the scene"
CONTENT = embeddings(0)


@contextlib.contextmanager
def stage(folder: Path, tree: Path) -> Iterator[Scene]:
    """A service of which nothing runs yet; on SQLite."""
    home = folder / "home"
    home.mkdir(parents=True)
    database = f"sqlite:///{home / 'cultivar.db'}"
    with world(folder, database, home=home, workers=2, tree=tree, settings=TIMES) as there:
        yield Scene(there)


@dataclass
class Scene:
    """What the scripts are made of."""

    world: World

    def part(self, name: str) -> Part:
        return self.world.parts[name]

    def keep_role(self) -> None:
        """Let no process reconcile until told to: one that is paused or killed would keep the role."""
        with self.world.store.write() as tx:
            assert tx.roles.hold(ROLE, HARNESS, 600)

    def give_up_role(self) -> None:
        with self.world.store.write() as tx:
            tx.roles.give_up(ROLE, HARNESS)

    def idle_worker(self, name: str) -> tuple[Part, psutil.Process]:
        """Start a worker whose child stands still: what it claims it holds for as long as we like."""
        worker = self.part(name)
        worker.start()
        child = self.until(worker.child)
        assert child is not None
        child.suspend()
        return worker, child

    def ingest(self) -> str:
        """Ask for a dataset of an upload, as the API would; return the job's id."""
        there = self.world
        blobs = LocalBlobs(there.settings.home / "blobs")
        return Service(there.store, there.settings, blobs, there.tenant).dataset(CONTENT)[1]

    def claims(self) -> list[str]:
        """Return who has claimed tasks, in order."""
        tasks = storm_audit.by_task(self.world.store)
        return [one.writer for task in tasks for one in task if storm_audit.is_claim(one)]

    def trespasses(self) -> list[str]:
        return list(storm_fence.trespasses(storm_audit.by_task(self.world.store)))

    def pause(self, part: Part) -> None:
        """SIGSTOP between two transactions."""
        path = self.world.settings.home / "cultivar.db"
        between_transactions(path, part.pause, part.resume)

    def until(self, look: Callable[[], T]) -> T:
        """Return what is seen once it is something; raise where it never is."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (found := look()):
            if time.monotonic() > end:
                raise AssertionError(f"the scene stands still: {look}")
            time.sleep(0.02)
        return found


def a_worker_that_lives_keeps_its_task(scene: Scene) -> list[str]:
    """A task takes longer than a lease, and its worker is well."""
    scene.idle_worker("worker-0")
    scene.ingest()
    scene.until(scene.claims)
    time.sleep(2.2 * LEASE_SECONDS)
    tasks = storm_audit.by_task(scene.world.store)
    return list(storm_fence.silent(tasks, scene.world.lives(), [], LEASE_SECONDS))


def a_worker_that_comes_back_late_is_refused(scene: Scene) -> list[str]:
    """Paused for longer than its lease, it goes on when another has the task."""
    scene.keep_role()
    late, _ = scene.idle_worker("worker-0")
    scene.ingest()
    scene.until(scene.claims)
    scene.pause(late)
    scene.give_up_role()
    scene.idle_worker("worker-1")
    scene.until(lambda: len(scene.claims()) == 2)
    return _told_on_return(scene, late)


def a_task_that_has_ended_is_left_alone(scene: Scene) -> list[str]:
    """Its job is canceled while its worker is paused; then the worker goes on."""
    scene.keep_role()
    reconciler = scene.part("reconciler")
    reconciler.start()
    late, _ = scene.idle_worker("worker-0")
    job_id = scene.ingest()
    scene.until(scene.claims)
    scene.pause(late)
    with scene.world.store.write() as tx:
        tx.jobs.request_cancel(scene.world.tenant, job_id)
    scene.give_up_role()

    def canceled() -> bool:
        with scene.world.store.read() as tx:
            job = tx.jobs.get(scene.world.tenant, job_id)
        return job is not None and job.state is JobState.CANCELED

    scene.until(canceled)
    return _told_on_return(scene, late)


def _told_on_return(scene: Scene, late: Part) -> list[str]:
    """Let a paused worker go on; return what it wrote that was not its own."""
    late.resume()
    scene.until(lambda: scene.trespasses() or "LEASE_LOST" in late.log.read_text())
    return scene.trespasses()


def a_dead_worker_s_task_is_taken_over(scene: Scene) -> list[str]:
    """Killed, it says nothing more; another must have its task within the lease + 5 s."""
    scene.keep_role()
    for name in ("worker-0", "worker-1"):
        scene.idle_worker(name)
    scene.ingest()
    (holder,) = scene.until(scene.claims)
    dead = next(part for part in scene.world.workers if part.writer == holder)
    dead.kill()
    scene.give_up_role()
    limit = time.monotonic() + LEASE_SECONDS + storm_fence.RECOVERY_SECONDS
    while len(scene.claims()) < 2:
        if time.monotonic() > limit:
            return ["a dead worker's task was not claimed again"]
        time.sleep(0.02)
    return []


def what_a_reader_sees_is_whole(scene: Scene) -> list[str]:
    """The API dies over an upload whose content another upload has brought already."""
    reader = Reader(scene.world.settings.home / "blobs")
    with _client(scene, "blob.after_rename:2") as client:
        _upload(client)
        reader.look()
        assert reader.looked_at == 1
        _upload_until_death(scene, client)
    reader.look()
    return [*reader.torn, *_dangling(scene)]


def a_row_refers_to_what_is_there(scene: Scene) -> list[str]:
    """The API dies in the middle of completing an upload."""
    with _client(scene, "blob.before_rename") as client:
        _upload_until_death(scene, client)
    return _dangling(scene)


@contextlib.contextmanager
def _client(scene: Scene, failpoint: str) -> Iterator[httpx.Client]:
    """Start an API that a failpoint ends; yield a client of it."""
    there = scene.world
    scene.part("api").start(failpoint)
    headers = {"Authorization": f"Bearer {there.key}"}
    with httpx.Client(base_url=there.url, headers=headers, timeout=30, trust_env=False) as client:

        def up() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return client.get("/healthz").is_success
            return False

        scene.until(up)
        yield client


def _upload(client: httpx.Client) -> None:
    body = {"filename": "rows.npz", "bytes": len(CONTENT)}
    begun = client.post("/v1/uploads", json=body).raise_for_status().json()
    address = f"/v1/uploads/{begun['id']}"
    client.put(f"{address}/parts/1", content=CONTENT).raise_for_status()
    client.post(f"{address}/complete").raise_for_status()


def _upload_until_death(scene: Scene, client: httpx.Client) -> None:
    with contextlib.suppress(httpx.TransportError):
        _upload(client)
    scene.until(lambda: not scene.part("api").alive())
    assert scene.part("api").deaths_at_failpoints == 1, "it was to die at the failpoint"


def _dangling(scene: Scene) -> list[str]:
    there = scene.world
    return dangling(there.store, LocalBlobs(there.settings.home / "blobs"))


SCENARIOS: dict[str, Callable[[Scene], list[str]]] = {
    "no fence": a_worker_that_comes_back_late_is_refused,
    "no heartbeat": a_worker_that_lives_keeps_its_task,
    "no state guard": a_task_that_has_ended_is_left_alone,
    "no reconciler": a_dead_worker_s_task_is_taken_over,
    "rename before write": what_a_reader_sees_is_whole,
    "row before blob": a_row_refers_to_what_is_there,
}
"""By the mutant that it must tell from the code as it is."""
