"""What befalls the service: one fault after the other, at random from a seed, each with its own end."""

import contextlib
import heapq
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import psutil
import redis
from sqlalchemy import make_url

from app.domain.problems import Problem
from benchmarks import storm_audit, storm_locks
from benchmarks.storm_disk import SmallDisk
from benchmarks.storm_load import Ledger
from benchmarks.storm_parts import Part
from benchmarks.storm_world import World

_FAILPOINTS = (
    "blob.after_rename",
    "blob.before_rename",
    "store.after_commit",
    "blob.before_sync",
    "store.before_commit",
)
"""Taken by turns, so that a short storm meets each of them."""

_CANCEL, _LOCK = "cancel", "write lock held"

Act = Callable[[], bool]


class Faults:
    """Begins faults when told to, ends them when their time is over, starts again what was killed.

    Used from one thread, which calls `tend` often.

    Attributes:
        counts: faults by kind, those left out that failpoints brought about.
        shaken: spans in which the database or its disk was kept from everybody, as (from, to).

    Args:
        armed: share of new workers and APIs that a failpoint ends, or tells of a full disk.
    """

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        disk: SmallDisk | None,
        chance: random.Random,
        armed: float,
    ) -> None:
        self._world, self._ledger, self._disk, self._chance = world, ledger, disk, chance
        self._lease = world.settings.lease_seconds
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._down: dict[str, float] = {}
        self._locks: list[threading.Thread] = []
        self._held_up: set[str] = set()
        self._calm = self._full = False
        self._armed = armed
        self._turns = {name: itertools.cycle(_FAILPOINTS) for name in ("api", "worker")}
        self.counts: Counter[str] = Counter()
        self.shaken: list[tuple[float, float]] = []

    @property
    def total(self) -> int:
        """How many there were, those included that failpoints brought about."""
        return sum(self.counts.values()) + self._at_failpoints()

    def all_counts(self) -> dict[str, int]:
        told = {"killed at a failpoint": self._at_failpoints()}
        return {name: count for name, count in {**self.counts, **told}.items() if count}

    def _at_failpoints(self) -> int:
        return sum(part.deaths_at_failpoints for part in self._world.parts.values())

    # The clock.

    def tend(self) -> None:
        """End what is over; start again what is down and due."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        for name, part in self._world.parts.items():
            if not part.alive():
                self._down.setdefault(name, now)
                if now >= self._down[name]:
                    del self._down[name]
                    part.start(self._failpoint(part))

    def open(self) -> None:
        """Begin with an API anew, which may be one that a failpoint ends."""
        self._world.parts["api"].kill()

    def strike(self) -> str:
        """Begin one fault and return its kind."""
        kinds = self._kinds()
        while True:
            (name,) = self._chance.choices(list(kinds), [weight for weight, _ in kinds.values()])
            if kinds[name][1]():
                # A cancel is no fault, and a lock is counted once it is held.
                if name not in {_CANCEL, _LOCK}:
                    self.counts[name] += 1
                return name

    def calm(self) -> None:
        """End every fault now and have all parts run, none of them with a failpoint."""
        self._calm = True
        while self._due:
            heapq.heappop(self._due)[2]()
        for lock in self._locks:
            lock.join()
        for part in self._world.parts.values():
            if part.armed:
                part.kill()
            if not part.alive():
                part.start()

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), act))

    # The kinds.

    def _kinds(self) -> dict[str, tuple[int, Act]]:
        parts = self._world.parts
        kinds: dict[str, tuple[int, Act]] = {
            "worker killed": (11, lambda: self._kill(self._a_worker())),
            "child killed": (9, self._kill_child),
            "API killed": (5, lambda: self._kill(parts["api"])),
            "reconciler killed": (5, lambda: self._kill(parts["reconciler"])),
            "Redis killed": (6, lambda: self._kill(parts["redis"])),
            "Redis away": (4, lambda: self._kill(parts["redis"], self._chance.uniform(2, 6))),
            "Redis flushed": (14, self._flush),
            "Redis stopped": (3, lambda: self._pause(parts["redis"], 1.0, 4.0)),
            "worker stopped": (8, lambda: self._pause_a_worker() is not None),
            "worker stopped, job canceled": (3, self._pause_and_cancel),
            "child stopped": (8, self._pause_child),
            "API stopped": (4, lambda: self._pause(parts["api"], 0.5, 4.0)),
            _LOCK: (6, self._hold_lock),
            _CANCEL: (14, self._cancel),
        }
        if self._disk is not None:
            kinds["disk full"] = (6, self._fill_disk)
        database = self._world.settings.database
        if make_url(database).get_backend_name() == "postgresql":
            kinds["connections cut"] = (5, lambda: storm_locks.cut_connections(database))
        return kinds

    def _kill(self, part: Part | None, down: float | None = None) -> bool:
        if part is None or not part.alive():
            return False
        part.kill()
        self._down[part.name] = time.monotonic() + (
            self._chance.uniform(0.0, 1.0) if down is None else down
        )
        return True

    def _kill_child(self) -> bool:
        part = self._a_worker()
        child = part.child() if part is not None else None
        if part is None or child is None:
            return False
        try:
            child.kill()
        except psutil.NoSuchProcess:
            return False
        part.lives[-1].childs.append(time.time())
        return True

    def _flush(self) -> bool:
        try:
            self._world.redis.flushall()
        except redis.RedisError:
            return False  # it is away already
        return True

    def _pause(self, part: Part, least: float, most: float) -> bool:
        if part.paused or not part.alive():
            return False
        part.pause()
        if part.alive():
            self._later(self._chance.uniform(least, most), part.resume)
        return True

    def _pause_and_cancel(self) -> bool:
        """What a stopped worker holds is canceled, and ended before it comes back."""
        part = self._pause_a_worker()
        if part is None:
            return False
        with contextlib.suppress(Problem):
            job_id = storm_audit.last_job(self._world.store, part.writer)
            for sent in self._ledger.acknowledged():
                if sent.job_id == job_id:
                    self._ledger.to_cancel.put(sent)
        return True

    def _pause_a_worker(self) -> Part | None:
        """Stop a worker for little more than a lease: it comes back while others do its work.

        Rather one that trains: what another worker takes over takes long, too.
        """
        free = self._free_workers()
        if len(free) < 2:
            return None
        part = self._chance.choice(free)
        with contextlib.suppress(Problem):
            writer = storm_audit.last_claimer(self._world.store, "train")
            part = next((one for one in free if one.writer == writer), part)
        if not self._pause(part, 1.1 * self._lease, 1.5 * self._lease):
            return None
        return part

    def _pause_child(self) -> bool:
        """The parent lives and says so: its task must stay its own, however long this takes."""
        free = self._free_workers()
        part = self._chance.choice(free) if len(free) > 1 else None
        child = part.child() if part is not None else None
        if part is None or child is None:
            return False

        def resume() -> None:
            self._held_up.discard(part.name)
            with contextlib.suppress(psutil.NoSuchProcess):
                child.resume()

        try:
            child.suspend()
        except psutil.NoSuchProcess:
            return False
        self._held_up.add(part.name)
        self._later(self._chance.uniform(1.2, 2.0) * self._lease, resume)
        return True

    def _free_workers(self) -> list[Part]:
        """Those that can work. Of two or more one may be stopped: one at least takes over for the others."""
        return [
            part
            for part in self._world.workers
            if part.alive() and not part.paused and part.name not in self._held_up
        ]

    def _hold_lock(self) -> bool:
        seconds = self._chance.uniform(0.3, 2.5)
        lock = threading.Thread(target=self._hold, args=(seconds,), daemon=True)
        lock.start()
        self._locks.append(lock)
        return True

    def _hold(self, seconds: float) -> None:
        span = storm_locks.hold(self._world.settings.database, seconds)
        if span is not None:
            self.shaken.append(span)
            self.counts[_LOCK] += 1

    def _fill_disk(self) -> bool:
        disk = self._disk
        assert disk is not None
        began = time.time()
        if self._full or not disk.fill():
            return False
        self._full = True

        def free() -> None:
            disk.free()
            self._full = False
            self.shaken.append((began, time.time()))

        self._later(self._chance.uniform(0.5, 3.0), free)
        return True

    def _cancel(self) -> bool:
        young = self._ledger.acknowledged()[-self._chance.choice((5, 40)) :]
        if not young:
            return False
        self._ledger.to_cancel.put(self._chance.choice(young))
        return True

    def _a_worker(self) -> Part | None:
        awake = [part for part in self._world.workers if part.alive() and not part.paused]
        return self._chance.choice(awake) if awake else None

    def _failpoint(self, part: Part) -> str | None:
        turns = self._turns.get(part.name.partition("-")[0])
        if turns is None or self._calm or self._chance.random() > self._armed:
            return None
        where = next(turns)
        # Few files come in through the API, and many transactions; a worker makes many of both.
        few = part.name == "api" and where.startswith("blob")
        count = self._chance.randint(*((1, 2) if few else (4, 20)))
        full = self._disk is None and where.startswith("blob") and self._chance.random() < 0.5
        return f"{where}:{count}{':enospc' if full else ''}"
