"""Uploads, part by part."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.domain.problems import Conflict, NotFound
from app.domain.records import Part, UploadState
from app.store.database import Store

SHA, OTHER = "a" * 64, "b" * 64


def test_parts_are_remembered_in_order_and_a_repeat_replaces(store: Store, tenant: str) -> None:
    with store.write() as tx:
        upload = tx.uploads.create(tenant, "x.npz", 30, SHA, 10)
        for number, sha256 in ((2, OTHER), (1, OTHER), (1, SHA)):
            tx.uploads.record_part(tenant, upload.id, number, 10, sha256)
        found = tx.uploads.get(tenant, upload.id)
    assert found is not None
    assert found.parts == (Part(1, 10, SHA), Part(2, 10, OTHER))
    assert (found.filename, found.bytes, found.part_bytes, found.sha256) == ("x.npz", 30, 10, SHA)


def test_completing_twice_is_completing_once(store: Store, tenant: str) -> None:
    with store.write() as tx:
        upload = tx.uploads.create(tenant, "x.npz", 30, None, 10)
        first = tx.uploads.complete(tenant, upload.id, SHA, 30)
        assert tx.uploads.complete(tenant, upload.id, SHA, 30) == first
        assert (first.state, first.blob) == (UploadState.COMPLETE, SHA)
        assert tx.blobs.stored_bytes(tenant) == 30
        with pytest.raises(Conflict):
            tx.uploads.complete(tenant, upload.id, OTHER, 30)
        with pytest.raises(Conflict):
            tx.uploads.record_part(tenant, upload.id, 1, 10, SHA)


def test_another_tenant_has_no_such_upload(store: Store, tenant: str) -> None:
    with store.write() as tx:
        upload = tx.uploads.create(tenant, "x.npz", 30, None, 10)
        other = tx.tenants.create("other").id
        assert tx.uploads.get(other, upload.id) is None
        assert not tx.uploads.delete(other, upload.id)
        with pytest.raises(NotFound):
            tx.uploads.record_part(other, upload.id, 1, 10, SHA)
        with pytest.raises(NotFound):
            tx.uploads.complete(other, upload.id, SHA, 30)
        assert tx.uploads.get(tenant, upload.id) == upload


def test_a_deleted_upload_is_gone_with_its_parts(store: Store, tenant: str) -> None:
    with store.write() as tx:
        upload = tx.uploads.create(tenant, "x.npz", 30, None, 10)
        tx.uploads.record_part(tenant, upload.id, 1, 10, SHA)
        assert tx.uploads.delete(tenant, upload.id)
        assert tx.uploads.get(tenant, upload.id) is None
        assert not tx.uploads.delete(tenant, upload.id)


def test_an_upload_that_is_deleted_as_a_part_comes_in_is_gone_with_it(
    store: Store, tenant: str
) -> None:
    with store.write() as tx:
        upload = tx.uploads.create(tenant, "x.npz", 30, None, 10)

    def delete() -> bool:
        with store.write() as tx:
            return tx.uploads.delete(tenant, upload.id)

    with ThreadPoolExecutor(1) as other:
        with store.write() as tx:
            tx.uploads.record_part(tenant, upload.id, 1, 10, SHA)
            deleting = other.submit(delete)
            time.sleep(0.3)  # it has looked, and waits for this transaction to end
        assert deleting.result()
    with store.read() as tx:
        assert tx.uploads.get(tenant, upload.id) is None


def test_only_unfinished_uploads_grow_stale(store: Store, tenant: str) -> None:
    with store.write() as tx:
        open_, done = (tx.uploads.create(tenant, "x.npz", 30, None, 10) for _ in range(2))
        tx.uploads.complete(tenant, done.id, SHA, 30)
        soon = tx.now() + timedelta(seconds=1)
        assert [upload.id for upload in tx.uploads.stale(soon)] == [open_.id]
        assert tx.uploads.stale(tx.now() - timedelta(seconds=1)) == []
