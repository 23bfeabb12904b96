"""Collection: what nothing names goes in two steps, what anything names or may yet name never does."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from app.domain.problems import NotFound
from app.domain.tasks import Checkpoint, Effects, NewArtifact, NewModel
from app.store.blob_files import ASIDE, BlobStore
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.garbage import ROLE, BlobsTaken, Collected, Collector
from app.store.tables import blobs as register
from app.store.tables import jobs, tasks, uploads

if TYPE_CHECKING:
    from tests.app.store.conftest import Lab

DAY = 86400.0
DATA = b"what was stored"


@dataclass
class Place:
    """A laboratory with a folder of blobs, in which time can pass."""

    lab: Lab
    blobs: LocalBlobs

    def put(self, data: bytes = DATA) -> str:
        return self.blobs.put_bytes(self.lab.tenant, data).sha256

    def collect(self, blobs: BlobStore | None = None, **how: bool) -> Collected:
        return Collector(self.lab.store, blobs or self.blobs, DAY, "here").run_once(**how)

    def upload(self, data: bytes = DATA) -> str:
        with self.lab.store.write() as tx:
            upload = tx.uploads.create(self.lab.tenant, "a.npz", len(data), None, 1 << 20)
        blob = self.blobs.put_bytes(self.lab.tenant, data)
        with self.lab.store.write() as tx:
            tx.uploads.complete(self.lab.tenant, upload.id, blob.sha256, len(data))
        return upload.id

    def give_up(self, upload_id: str) -> None:
        with self.lab.store.write() as tx:
            assert tx.uploads.delete(self.lab.tenant, upload_id)

    def pass_days(self, days: float = 1.5) -> None:
        """Make everything that has a time older."""
        seconds, root = days * DAY, self.blobs.staging.parent
        for path in root.glob("*/??/*"):
            os.utime(path, (path.stat().st_mtime - seconds,) * 2)
        for path in (root / ASIDE).glob("*/??/*"):
            sha256, _, stamp = path.name.partition(".")
            earlier = int(stamp[:12], 16) - int(seconds * 1000)
            path.rename(path.with_name(f"{sha256}.{earlier:012x}{stamp[12:]}"))
        with self.lab.store.write() as tx:
            for column in (
                register.c.created_at, tasks.c.started_at, jobs.c.ended_at, uploads.c.touched_at
            ):  # fmt: skip
                keys = [*column.table.primary_key]
                for row in tx.rows(select(*keys, column).where(column.is_not(None))):
                    this = [key == row[key.name] for key in keys]
                    earlier_time = row[column.name] - timedelta(seconds=seconds)
                    tx.run(update(column.table).where(*this).values({column: earlier_time}))

    def there(self, sha256: str) -> bool:
        """Whether a blob is under its name; does not bring it back."""
        root = self.blobs.staging.parent
        return (root / self.lab.tenant / sha256[:2] / sha256).is_file()

    def stored_bytes(self) -> int:
        with self.lab.store.read() as tx:
            return tx.blobs.stored_bytes(self.lab.tenant)


@pytest.fixture
def place(lab: Lab, blobs: LocalBlobs) -> Place:
    return Place(lab, blobs)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_nothing_names_is_set_aside_after_a_day_and_destroyed_after_another(
    place: Place,
) -> None:
    upload = place.upload()
    place.pass_days()
    place.give_up(upload)
    kept = place.put(b"young")
    told = place.collect(dry_run=True)
    assert (told.rows, told.set_aside, told.set_aside_bytes) == (1, 1, len(DATA))
    assert place.there(sha(DATA))
    assert place.stored_bytes() == len(DATA)
    assert place.collect() == told
    assert not place.there(sha(DATA))
    assert place.there(kept)
    assert place.stored_bytes() == 0
    assert not place.collect().anything  # it has not been aside for long enough
    place.blobs.put_bytes(place.lab.tenant, b"young")
    place.pass_days()
    done = place.collect()
    assert (done.destroyed, done.destroyed_bytes, done.set_aside) == (1, len(DATA), 1)
    with pytest.raises(NotFound):
        place.blobs.size(place.lab.tenant, sha(DATA))


@pytest.mark.parametrize(
    "read",
    [
        lambda blobs, tenant, sha256: b"".join(blobs.open_range(tenant, sha256)) == DATA,
        lambda blobs, tenant, sha256: blobs.local_path(tenant, sha256).read_bytes() == DATA,
        lambda blobs, tenant, sha256: blobs.size(tenant, sha256) == len(DATA),
        lambda blobs, tenant, sha256: blobs.exists(tenant, sha256),
        lambda blobs, tenant, sha256: blobs.verify(tenant, sha256),
    ],
    ids=["open_range", "local_path", "size", "exists", "verify"],
)
def test_every_reader_brings_back_what_is_aside(
    blobs: LocalBlobs, read: Callable[[LocalBlobs, str, str], bool]
) -> None:
    blob = blobs.put_bytes("ten_1", DATA)
    blobs.set_aside("ten_1", blob.sha256)
    blobs.set_aside("ten_1", blob.sha256)  # again: there is nothing any more
    assert [one.sha256 for one in blobs.aside("ten_1")] == [blob.sha256]
    assert not list(blobs.stored("ten_1"))
    assert read(blobs, "ten_1", blob.sha256)
    assert [one.sha256 for one in blobs.stored("ten_1")] == [blob.sha256]
    assert not list(blobs.aside("ten_1"))


def test_what_a_row_names_stays_however_old(place: Place) -> None:
    lab = place.lab
    place.upload(b"upload")
    job = lab.job("gelda")
    claim = lab.claimed()
    saved, result, artifact, model = (place.put(name.encode()) for name in ("s", "r", "a", "m"))
    with lab.store.write() as tx:
        tx.tasks.checkpoint(claim.lease, Checkpoint(saved, 1))
    effects = Effects(
        result={"files": {"x": {"sha256": result, "bytes": 1}}},
        artifacts=(NewArtifact("r.json", artifact, 1, "application/json"),),
        generator=NewModel({"m": {"sha256": model, "bytes": 1}}, {}),
    )
    assert lab.succeed(claim, effects)
    for _ in range(3):
        place.pass_days()
        assert place.collect() == Collected()
    named = (sha(b"upload"), saved, result, artifact, model)
    assert all(place.blobs.verify(lab.tenant, one) for one in named)

    lab.cancel(job.id)
    assert place.collect() == Collected()
    place.pass_days()
    done = place.collect()  # what its later tasks would have asked for is nobody's any more
    assert (done.cleared, done.set_aside) == (1, 2)
    assert [place.there(one) for one in named] == [True, False, False, True, True]


def test_what_a_running_task_has_put_waits_for_its_end(place: Place) -> None:
    place.lab.job("gelda")
    claim = place.lab.claimed()
    blob = place.put()
    for _ in range(3):
        place.pass_days()
        assert place.collect() == Collected()
    place.lab.succeed(claim, Effects(artifacts=(NewArtifact("a", blob, len(DATA), "text/plain"),)))
    place.pass_days()
    assert place.collect().set_aside == 0
    assert place.blobs.verify(place.lab.tenant, blob)


def test_what_a_task_without_a_lease_has_put_is_collected(place: Place) -> None:
    job = place.lab.job("gelda")
    place.lab.claimed()
    blob = place.put()
    with place.lab.store.write() as tx:
        tx.run(update(tasks).values(lease_until=0.0, lease_boot="before"))
        assert tx.tasks.expire_leases(max_crashes=3) == 1
    place.lab.cancel(job.id)
    place.pass_days()
    assert place.collect().set_aside == 1
    assert not place.there(blob)


def test_what_an_upload_is_about_to_name_waits_for_it(place: Place) -> None:
    with place.lab.store.write() as tx:
        upload = tx.uploads.create(place.lab.tenant, "a.npz", len(DATA), None, 1 << 20)
    blob = place.put()
    place.pass_days(5)
    assert place.collect() == Collected()
    with place.lab.store.write() as tx:
        tx.uploads.complete(place.lab.tenant, upload.id, blob, len(DATA))
    place.pass_days(5)
    assert place.collect() == Collected()


class Meanwhile(LocalBlobs):
    """Lets something happen between the look at a blob and the taking of it."""

    act: Callable[[], object]

    def set_aside(self, tenant_id: str, sha256: str) -> None:
        self.act()
        super().set_aside(tenant_id, sha256)


def test_the_same_content_put_and_named_as_it_is_taken_is_not_lost(place: Place) -> None:
    place.give_up(place.upload())
    place.pass_days()
    racing = Meanwhile(place.blobs.staging.parent)
    racing.act = place.upload
    assert place.collect(racing).set_aside == 1
    assert not place.there(sha(DATA))
    assert place.stored_bytes() == len(DATA)
    for _ in range(3):
        place.pass_days()
        assert place.collect().destroyed == 0
    assert place.there(sha(DATA))  # the collector itself has brought it back
    assert place.blobs.verify(place.lab.tenant, sha(DATA))


def test_a_row_that_is_being_refreshed_stays_in_the_register(
    postgresql_url: str, make_lab: Callable[[Store], Lab], blobs: LocalBlobs
) -> None:
    """On SQLite there is one writer at a time."""
    store = Store(postgresql_url)
    place = Place(make_lab(store), blobs)
    place.give_up(place.upload())
    place.pass_days()
    with store.write() as tx:
        tx.blobs.add(place.lab.tenant, sha(DATA), len(DATA))
        assert place.collect().rows == 0
    assert place.stored_bytes() == len(DATA)
    store.close()


def test_nobody_collects_while_another_holds_the_role(place: Place) -> None:
    with place.lab.store.write() as tx:
        assert tx.roles.hold(ROLE, "a backup", 60)
    with pytest.raises(BlobsTaken):
        place.collect()
    with place.lab.store.write() as tx:
        tx.roles.give_up(ROLE, "a backup")
    place.collect()
    with place.lab.store.write() as tx:
        assert tx.roles.hold(ROLE, "a backup", 60)  # it is given up at the end of a round


def test_what_is_no_blob_of_a_tenant_of_the_database_is_left_alone(place: Place) -> None:
    place.blobs.put_bytes("ten_of_another_database", DATA)
    place.upload()
    stray = place.blobs.local_path(place.lab.tenant, sha(DATA)).with_name(
        "a file of the operator's"
    )
    stray.write_text("not a blob")
    place.pass_days()
    assert place.collect() == Collected()
    assert stray.exists()


def test_putters_that_race_a_collector_lose_nothing(place: Place) -> None:
    """Few contents, many uploads: each is given up and sent again as the collector takes it."""
    contents = [bytes([n]) * 100 for n in range(3)]
    lost: list[str] = []

    def send(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(8):  # not for a time: on a busy machine that may be none
            data = rng.choice(contents)
            upload = place.upload(data)
            time.sleep(rng.random() * 0.02)
            if not place.blobs.verify(place.lab.tenant, sha(data)):
                lost.append(upload)
            place.give_up(upload)
            time.sleep(rng.random() * 0.02)

    senders = [threading.Thread(target=send, args=(seed,)) for seed in range(3)]
    for sender in senders:
        sender.start()
    collector = Collector(place.lab.store, place.blobs, 0.005, "here")
    done = Collected()
    while any(sender.is_alive() for sender in senders):
        one = collector.run_once()
        done.set_aside += one.set_aside
        done.destroyed += one.destroyed
    for sender in senders:
        sender.join()
    assert not lost
    time.sleep(0.02)
    for _ in range(2):
        last = collector.run_once()
        done.set_aside += last.set_aside
        done.destroyed += last.destroyed
        time.sleep(0.02)
    assert done.set_aside >= 1
    assert done.destroyed >= 1
    assert place.stored_bytes() == 0


@pytest.mark.parametrize("where", ["garbage.after_rows", "garbage.before_destroy"])
def test_a_collector_that_is_killed_leaves_nothing_behind(
    where: str, sqlite_url: str, make_lab: Callable[[Store], Lab], tmp_path: Path
) -> None:
    store = Store(sqlite_url)
    place = Place(make_lab(store), LocalBlobs(tmp_path / "blobs"))
    place.upload(b"named")
    for n in range(2):
        place.give_up(place.upload(b"gone %d" % n))
    place.pass_days()
    if where == "garbage.before_destroy":
        place.collect()
        place.pass_days()
    command = [sys.executable, "-m", "app", "admin", "--home", str(tmp_path), "collect"]
    killed = subprocess.run(command, env=os.environ | {"CULTIVAR_FAILPOINT": where}, check=False)
    assert killed.returncode == 137
    assert place.blobs.verify(place.lab.tenant, sha(b"named"))
    with store.write() as tx:  # as if its lease had run out
        tx.connection.exec_driver_sql("DELETE FROM roles")
    for _ in range(3):
        place.collect()
        place.pass_days()
    root = place.blobs.staging.parent
    assert [path.name for path in root.glob("*/??/*")] == [sha(b"named")]
    assert not list((root / ASIDE).glob("*/??/*"))
    assert place.stored_bytes() == len(b"named")
    store.close()
