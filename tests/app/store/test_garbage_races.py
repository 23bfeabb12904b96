"""A collector that others race, or that is killed, takes nothing that is named and forgets nothing that is not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.store.blob_files import ASIDE
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.garbage import Collected, Collector
from tests.app.store.conftest import DATA, Lab, Place, sha


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
