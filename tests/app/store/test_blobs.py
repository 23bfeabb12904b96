"""Local blobs: whole or not at all, durable when acknowledged."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from app.domain.problems import Invalid, NotFound, OutOfSpace, Unavailable
from app.store import failpoints
from app.store.blobs import LocalBlobs, open_blobs
from app.store.database import Store

DATA = bytes(range(256)) * 9000  # more than two pieces
SHA = hashlib.sha256(DATA).hexdigest()
TENANT = "ten_1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def visible(blobs: LocalBlobs) -> list[str]:
    root = blobs.staging.parent
    return sorted(path.name for path in root.glob("ten*/**/*") if path.is_file())


def test_what_is_put_is_there_under_its_hash(blobs: LocalBlobs, file: Path) -> None:
    blob = blobs.put_file(TENANT, file)
    assert (blob.sha256, blob.bytes) == (SHA, len(DATA))
    assert file.exists()
    assert blobs.exists(TENANT, SHA)
    assert blobs.size(TENANT, SHA) == len(DATA)
    assert blobs.local_path(TENANT, SHA).read_bytes() == DATA
    assert blobs.verify(TENANT, SHA)
    assert blobs.presign(TENANT, SHA) is None
    assert list(blobs.staging.iterdir()) == []


def test_a_staged_file_is_moved(blobs: LocalBlobs) -> None:
    staged = blobs.staging / "deep" / "file"
    staged.parent.mkdir()
    staged.write_bytes(DATA)
    inode = staged.stat().st_ino
    blobs.put_file(TENANT, staged)
    assert not staged.exists()
    assert blobs.local_path(TENANT, SHA).stat().st_ino == inode


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (0, 1), (5, 5), (100, 1 << 20), (len(DATA) - 1, None), (7, 10**9)]
)
def test_ranges_are_exact(blobs: LocalBlobs, start: int, end: int | None) -> None:
    blobs.put_bytes(TENANT, DATA)
    assert b"".join(blobs.open_range(TENANT, SHA, start, end)) == DATA[start:end]


def test_an_empty_blob_is_a_blob(blobs: LocalBlobs) -> None:
    blob = blobs.put_bytes(TENANT, b"")
    assert blob.bytes == 0
    assert list(blobs.open_range(TENANT, blob.sha256)) == []


def test_a_wrong_promise_of_a_hash_stores_nothing(blobs: LocalBlobs, file: Path) -> None:
    with pytest.raises(Invalid) as caught:
        blobs.put_file(TENANT, file, sha256="0" * 64)
    assert caught.value.code == "checksum_mismatch"
    assert visible(blobs) == []
    assert list(blobs.staging.iterdir()) == []


def test_nothing_is_shared_across_tenants(blobs: LocalBlobs) -> None:
    blobs.put_bytes(TENANT, DATA)
    assert not blobs.exists("ten_2", SHA)
    with pytest.raises(NotFound):
        blobs.local_path("ten_2", SHA)


@pytest.mark.parametrize(
    ("tenant", "sha256"),
    [(TENANT, "../../etc/passwd"), ("..", SHA), (TENANT, SHA.upper()), ("", "")],
)
def test_a_name_that_is_no_name_is_not_found(blobs: LocalBlobs, tenant: str, sha256: str) -> None:
    with pytest.raises(NotFound):
        blobs.open_range(tenant, sha256)


def test_a_missing_blob_is_not_found_at_once(blobs: LocalBlobs) -> None:
    with pytest.raises(NotFound):
        blobs.open_range(TENANT, SHA)
    with pytest.raises(NotFound):
        blobs.size(TENANT, SHA)
    assert not blobs.verify(TENANT, SHA)
    assert not blobs.bring_back(TENANT, SHA)


def test_damage_is_seen_and_mended_by_putting_again(blobs: LocalBlobs, file: Path) -> None:
    blobs.put_bytes(TENANT, DATA)
    blobs.local_path(TENANT, SHA).write_bytes(b"damaged")
    assert not blobs.verify(TENANT, SHA)
    blobs.put_file(TENANT, file)
    assert blobs.verify(TENANT, SHA)


def test_bytes_and_names_are_synced_in_order_before_a_row_is_committed(
    store: Store, tenant: str, blobs: LocalBlobs, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def publish() -> None:
        done.clear()
        blob = blobs.put_file(tenant, file)
        with store.write() as tx:
            tx.blobs.add(tenant, blob.sha256, blob.bytes)

    def watch_commit(_: Connection) -> None:
        done.append("commit")

    fsync, replace = os.fsync, Path.replace

    def watch_fsync(handle: int) -> None:
        target = Path(f"/proc/self/fd/{handle}").readlink()
        done.append("folder" if target.is_dir() else "file")
        fsync(handle)

    def watch_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(Path, "replace", watch_replace)
    event.listen(Engine, "commit", watch_commit)
    try:
        publish()
        assert done == ["file", "folder", "folder", "rename", "folder", "commit"]
        publish()
        assert done == ["file", "rename", "folder", "commit"]
    finally:
        event.remove(Engine, "commit", watch_commit)


def test_a_failed_sync_is_not_repeated_and_nothing_appears(
    blobs: LocalBlobs, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def broken(handle: int) -> None:
        synced.append(handle)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Unavailable):
        blobs.put_file(TENANT, file)
    assert len(synced) == 1
    assert visible(blobs) == []
    assert list(blobs.staging.iterdir()) == []


@pytest.mark.parametrize("where", ["blob.write:2", "blob.before_sync:1", "blob.before_rename:1"])
def test_a_full_disk_leaves_nothing(
    blobs: LocalBlobs, file: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    failpoints._passages.clear()
    monkeypatch.setenv("CULTIVAR_FAILPOINT", f"{where}:enospc")
    with pytest.raises(OutOfSpace):
        blobs.put_file(TENANT, file)
    assert visible(blobs) == []
    assert list(blobs.staging.iterdir()) == []
    monkeypatch.delenv("CULTIVAR_FAILPOINT")
    blobs.put_file(TENANT, file)
    assert blobs.verify(TENANT, SHA)


@pytest.mark.parametrize(
    ("where", "whole"),
    [("blob.write:2", False), ("blob.before_rename", False), ("blob.after_rename", True)],
)
def test_a_killed_writer_leaves_a_whole_blob_or_none(
    blobs: LocalBlobs, file: Path, where: str, whole: bool
) -> None:
    program = (
        "import sys; from pathlib import Path; from app.store.blobs import LocalBlobs\n"
        "LocalBlobs(Path(sys.argv[1])).put_file(sys.argv[2], Path(sys.argv[3]))"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, str(blobs.staging.parent), TENANT, str(file)],
        env={"CULTIVAR_FAILPOINT": where},
        check=False,
    )
    assert child.returncode == 137
    assert visible(blobs) == ([SHA] if whole else [])
    assert blobs.verify(TENANT, SHA) is whole


def test_a_folder_that_cannot_be_written_is_unavailable(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.ping()
    blobs.staging.rmdir()
    with pytest.raises(Unavailable):
        blobs.ping()


def test_a_file_url_opens_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    blobs = open_blobs(folder.as_uri(), tmp_path)
    blobs.put_bytes(TENANT, DATA)
    assert (folder / TENANT / SHA[:2] / SHA).read_bytes() == DATA
