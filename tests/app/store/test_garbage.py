"""Collection: what nothing names goes in two steps, what anything names or may yet name never does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from app.domain.problems import NotFound
from app.domain.tasks import Checkpoint, Effects, NewArtifact, NewModel
from app.store.blobs import LocalBlobs
from app.store.garbage import ROLE, BlobsTaken, Collected
from app.store.tables import tasks
from tests.app.store.conftest import DATA, Place, sha


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
