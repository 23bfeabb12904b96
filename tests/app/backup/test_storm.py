"""A backup in the middle of much going on: jobs submitted, run and deleted, blobs collected."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.domain.problems import Unavailable
from app.domain.tasks import TaskState
from app.store.garbage import BlobsTaken, Collector
from tests.app.backup.conftest import House

PATIENCE_SECONDS = 100.0


class Storm:
    """Threads that submit, work and collect until they are told to stop."""

    def __init__(self, house: House, tenants: list[str]) -> None:
        self._house = house
        self._tenants = tenants
        self._over = threading.Event()
        self.done: Counter[str] = Counter()

    def submit(self) -> None:
        number = self.done["submitted"]
        tenant = self._tenants[number % len(self._tenants)]
        self._house.ingest(tenant, b"%d" % (number % 7) * 1000)  # some files are the same
        self.done["submitted"] += 1

    def work(self) -> None:
        claim = self._house.claim()
        if claim is None:
            time.sleep(0.01)
            return
        self._house.checkpoint(claim, b"half of " + claim.job_id.encode() * 1000)
        time.sleep(0.02)
        self._house.finish(claim)
        self.done["finished"] += 1

    def collect(self) -> None:
        Collector(self._house.store, self._house.blobs, 0.3, "collector").run_once()
        self.done["collected"] += 1
        time.sleep(0.05)

    def until(self, act: str, more: int) -> None:
        """Wait until so many more of one kind are done."""
        wanted, end = self.done[act] + more, time.monotonic() + PATIENCE_SECONDS
        while self.done[act] < wanted:
            assert time.monotonic() < end, f"after {PATIENCE_SECONDS} s only {self.done}"
            time.sleep(0.01)

    def stop(self) -> None:
        self._over.set()

    def keep(self, act: Callable[[], None]) -> None:
        while not self._over.is_set():
            try:
                act()
            except (BlobsTaken, Unavailable):
                time.sleep(0.05)


def test_a_backup_in_a_storm_lacks_nothing_and_work_goes_on_from_it(
    house: House, elsewhere: House, tmp_path: Path
) -> None:
    storm = Storm(house, [house.tenant("a"), house.tenant("b")])
    acts = [storm.submit, storm.work, storm.work, storm.work, storm.collect]
    with ThreadPoolExecutor(len(acts)) as threads:
        futures = [threads.submit(storm.keep, act) for act in acts]
        try:
            storm.until("finished", 20)
            storm.until("collected", 1)
            before = storm.done.copy()
            taken = house.back_up(tmp_path / "backup")
            after = storm.done.copy()
            storm.until("collected", 1)
        finally:
            storm.stop()
        for future in futures:
            future.result()
    assert not taken.faults, taken.counts
    assert after["submitted"] > before["submitted"], "nothing went on during the backup"
    assert not house.check().faults
    assert not house.check_backup(tmp_path / "backup").faults
    assert not elsewhere.restore(tmp_path / "backup").faults
    _everything_is_finished(elsewhere)


def _everything_is_finished(house: House) -> None:
    running = [row for row in house.rows()["tasks"] if row["state"] == TaskState.RUNNING]
    assert not running
    while (claim := house.claim()) is not None:
        if claim.checkpoint is not None:
            assert house.blobs.verify(claim.tenant_id, claim.checkpoint.sha256)
        for upload in claim.inputs["uploads"]:
            assert house.blobs.verify(claim.tenant_id, upload["sha256"])
        house.finish(claim)
    rows = house.rows()
    assert {row["state"] for row in rows["jobs"]} == {"succeeded"}
    assert {row["crash_count"] for row in rows["tasks"]} == {0}
    assert len(rows["artifacts"]) == len(rows["jobs"])
    assert not house.check().faults
