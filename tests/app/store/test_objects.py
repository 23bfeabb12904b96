"""Blobs in an object store, against an S3 server."""

import hashlib
from pathlib import Path

import httpx
import obstore
import pytest

from app.domain.problems import Invalid, NotFound, Unavailable
from app.store.blobs import open_blobs
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
    keys = [meta["path"] for batch in obstore.list(objects._store) for meta in batch]
    assert keys == [f"{TENANT}/{SHA[:2]}/{SHA}"]


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


def test_a_deleted_object_is_gone_from_the_cache_too(objects: ObjectBlobs) -> None:
    objects.put_bytes(TENANT, DATA)
    objects.local_path(TENANT, SHA)
    objects.delete(TENANT, SHA)
    objects.delete(TENANT, SHA)
    assert not objects.exists(TENANT, SHA)
    with pytest.raises(NotFound):
        objects.local_path(TENANT, SHA)


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
