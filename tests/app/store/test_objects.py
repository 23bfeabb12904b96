"""Blobs in an object store, against an S3 server."""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import obstore
import pytest

from app.domain.problems import Invalid, NotFound, Unavailable
from app.store.blob_files import key_of
from app.store.blobs import open_blobs
from app.store.database import Store
from app.store.garbage import Collector
from app.store.objects import ObjectBlobs

DATA = bytes(range(256)) * 30_000  # more than one part of a multipart put
SHA = hashlib.sha256(DATA).hexdigest()
TENANT = "ten_1"


@pytest.fixture
def objects(s3: str, tmp_path: Path) -> ObjectBlobs:
    found = open_blobs(f"s3://bucket/{tmp_path.name}", tmp_path)
    assert isinstance(found, ObjectBlobs)
    return found


def test_what_is_put_is_there_under_its_hash(objects: ObjectBlobs, tmp_path: Path) -> None:
    objects.ping()
    file = tmp_path / "file"
    file.write_bytes(DATA)
    blob = objects.put_file(TENANT, file)
    assert (blob.sha256, blob.bytes) == (SHA, len(DATA))
    assert file.exists()
    assert objects.exists(TENANT, SHA)
    assert objects.size(TENANT, SHA) == len(DATA)
    assert objects.local_path(TENANT, SHA).read_bytes() == DATA
    assert objects.verify(TENANT, SHA)
    assert list(objects.staging.iterdir()) == []
    assert keys(objects) == [f"{TENANT}/{SHA[:2]}/{SHA}"]


def test_a_staged_file_is_gone_after_it_is_put(objects: ObjectBlobs) -> None:
    staged = objects.staging / "file"
    staged.write_bytes(DATA)
    objects.put_file(TENANT, staged)
    assert not staged.exists()


@pytest.mark.parametrize(("start", "end"), [(0, None), (5, 5), (100, 3 << 20), (7, 10**9)])
def test_ranges_are_exact(objects: ObjectBlobs, start: int, end: int | None) -> None:
    objects.put_bytes(TENANT, DATA)
    assert b"".join(objects.open_range(TENANT, SHA, start, end)) == DATA[start:end]


def test_a_wrong_promise_of_a_hash_stores_nothing(objects: ObjectBlobs, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    with pytest.raises(Invalid):
        objects.put_file(TENANT, file, sha256="0" * 64)
    assert not objects.exists(TENANT, SHA)


def test_nothing_is_shared_across_tenants(objects: ObjectBlobs) -> None:
    objects.put_bytes(TENANT, DATA)
    with pytest.raises(NotFound):
        objects.open_range("ten_2", SHA)
    assert not objects.verify("ten_2", SHA)


def test_a_damaged_object_is_never_handed_out_as_a_file(objects: ObjectBlobs) -> None:
    obstore.put(objects._store, f"{TENANT}/{SHA[:2]}/{SHA}", b"damaged")
    assert not objects.verify(TENANT, SHA)
    with pytest.raises(Invalid):
        objects.local_path(TENANT, SHA)


def keys(objects: ObjectBlobs) -> list[str]:
    return [meta["path"] for batch in obstore.list(objects._store) for meta in batch]


@pytest.mark.parametrize(
    "read",
    [
        lambda objects: b"".join(objects.open_range(TENANT, SHA)) == DATA,
        lambda objects: objects.local_path(TENANT, SHA).read_bytes() == DATA,
        lambda objects: objects.exists(TENANT, SHA),
        lambda objects: objects.verify(TENANT, SHA),
        lambda objects: httpx.get(objects.presign(TENANT, SHA) or "").content == DATA,
    ],
    ids=["open_range", "local_path", "exists", "verify", "presign"],
)
def test_every_reader_brings_back_what_is_aside(
    objects: ObjectBlobs, read: Callable[[ObjectBlobs], bool]
) -> None:
    objects.put_bytes(TENANT, DATA)
    (listed,) = objects.stored(TENANT)
    assert (listed.sha256, listed.bytes) == (SHA, len(DATA))
    assert abs(datetime.now(UTC) - listed.modified) < timedelta(minutes=1)
    objects.set_aside(TENANT, SHA)
    objects.set_aside(TENANT, SHA)  # again: there is nothing any more
    assert not list(objects.stored(TENANT))
    assert [one.sha256 for one in objects.aside(TENANT)] == [SHA]
    assert read(objects)
    assert [one.sha256 for one in objects.stored(TENANT)] == [SHA]


def test_what_is_destroyed_is_gone_from_the_cache_too(objects: ObjectBlobs) -> None:
    objects.put_bytes(TENANT, DATA)
    objects.local_path(TENANT, SHA)
    objects.set_aside(TENANT, SHA)
    (gone,) = objects.aside(TENANT)
    objects.destroy(gone)
    objects.destroy(gone)
    assert keys(objects) == []
    assert not objects.exists(TENANT, SHA)
    with pytest.raises(NotFound):
        objects.local_path(TENANT, SHA)


class Meanwhile(ObjectBlobs):
    """Puts the same content anew between the copy and the deletion of its name."""

    def _copy(self, source: str, target: str) -> None:
        super()._copy(source, target)
        if source == key_of(TENANT, SHA):
            self.put_bytes(TENANT, DATA)


def test_what_is_put_anew_while_it_is_set_aside_is_not_lost(
    objects: ObjectBlobs, tmp_path: Path, sqlite_url: str
) -> None:
    store = Store(sqlite_url)
    store.migrate()
    with store.write() as tx:
        tenant = tx.tenants.create("tenant").id
        tx.connection.exec_driver_sql(f"UPDATE tenants SET id = '{TENANT}' WHERE id = '{tenant}'")
        upload = tx.uploads.create(TENANT, "x.npz", len(DATA), None, 1 << 20)
    racing = Meanwhile(objects._store, tmp_path)
    racing.put_bytes(TENANT, DATA)
    racing.set_aside(TENANT, SHA)
    with store.write() as tx:
        tx.uploads.complete(TENANT, upload.id, SHA, len(DATA))
    (aside,) = racing.aside(TENANT)
    assert keys(objects) == [aside.key]
    time.sleep(0.05)
    for _ in range(2):  # brought back, and its copy destroyed, and then left alone
        Collector(store, objects, 0.01, "tests").run_once()
        assert keys(objects) == [key_of(TENANT, SHA)]
    assert objects.verify(TENANT, SHA)
    with store.write() as tx:
        tx.uploads.delete(TENANT, upload.id)
    for _ in range(2):
        time.sleep(1.1)  # an object's time is in whole seconds
        Collector(store, objects, 0.01, "tests").run_once()
    assert keys(objects) == []
    store.close()


def test_a_presigned_address_needs_no_key(objects: ObjectBlobs) -> None:
    objects.put_bytes(TENANT, DATA)
    address = objects.presign(TENANT, SHA)
    assert address is not None
    assert httpx.get(address).content == DATA


def test_a_store_that_does_not_answer_is_unavailable(
    objects: ObjectBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    away = open_blobs("s3://no-such-bucket", tmp_path / "away")
    with pytest.raises((Unavailable, NotFound)):
        away.put_bytes(TENANT, b"x")
