"""What `verify` finds, and what `restore` refuses because of it."""

import errno
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update

from app.backup.folder import BackupError, Folder
from app.domain.problems import OutOfSpace
from app.store import failpoints
from app.store.references import references
from app.store.tables import datasets
from tests.app.backup.conftest import House


def faults(house: House) -> list[str]:
    """Return what was found at fault, and forget it."""
    said, house.said[:] = list(house.said), []
    return [line for line in said if line.split()[0] in {"table", "row", "missing", "damaged"}]


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def blob_paths(root: Path, tenant: str) -> list[Path]:
    return sorted(path for path in (root / tenant).rglob("*") if path.is_file())


def test_of_a_service_each_missing_and_damaged_blob_is_named(house: House, tmp_path: Path) -> None:
    tenant = house.live_in()
    assert not house.check().faults
    gone, spoiled = blob_paths(tmp_path / "blobs-1", tenant)[:2]
    gone.unlink()
    spoil(spoiled)
    house.blobs.put_bytes(tenant, b"which no row names")
    found = house.check()
    assert found.counts == {"missing": 1, "damaged": 1, "superfluous": 1}
    assert found.faults == 2
    assert {line.split()[0]: line.split()[1] for line in faults(house)} == {
        "missing": f"{tenant}/{gone.name}",
        "damaged": f"{tenant}/{spoiled.name}",
    }


def test_a_backup_goes_on_without_a_blob_that_is_lost_and_says_so(
    here: House, elsewhere: House, tmp_path: Path
) -> None:
    tenant = here.live_in()
    gone, spoiled, *rest = blob_paths(tmp_path / "blobs-1", tenant)
    gone.unlink()
    spoil(spoiled)
    for act in (here.back_up, here.check_backup, elsewhere.restore):
        found = act(tmp_path / "backup")
        assert found.faults == 2
    assert Folder(tmp_path / "backup").manifest().blobs_lost == 2
    assert elsewhere.stored(tenant) == {path.name for path in rest}


def test_a_blob_that_the_disk_does_not_give_back_is_damaged_and_the_others_are_saved(
    here: House, elsewhere: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file system here fails on demand: the first piece of that file does."""
    tenant = here.live_in()
    bad, *rest = blob_paths(tmp_path / "blobs-1", tenant)
    really = here.blobs.open_range

    def unreadable(tenant_id: str, sha256: str) -> Iterator[bytes]:
        yield from really(tenant_id, sha256)
        if sha256 == bad.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(here.blobs, "open_range", unreadable)
    assert here.check().counts["damaged"] == 1
    assert here.back_up(tmp_path / "backup").counts == {"damaged": 1}
    assert faults(here) == [f"damaged     {tenant}/{bad.name} of {owner(here, bad.name)}"] * 2
    assert not list((tmp_path / "backup").rglob("*.tmp"))
    elsewhere.restore(tmp_path / "backup")
    assert elsewhere.stored(tenant) == {path.name for path in rest}


def owner(house: House, sha256: str) -> str:
    with house.store.read() as tx:
        return next(one.owner for one in references(tx) if one.sha256 == sha256)


@pytest.mark.parametrize("how", ["too few", "another"])
def test_a_manifest_without_all_tables_of_its_schema_is_refused(
    here: House, elsewhere: House, tmp_path: Path, how: str
) -> None:
    here.live_in()
    folder = Folder(tmp_path / "backup")
    here.back_up(folder.path)
    path = folder.path / "manifest.json"
    manifest = json.loads(path.read_text())
    of_artifacts = manifest["tables"].pop("artifacts")
    if how == "another":
        manifest["tables"]["arts"] = of_artifacts
        folder.table("artifacts").rename(folder.table("arts"))
    path.write_text(json.dumps(manifest))
    for act in (here.check_backup, elsewhere.restore):
        with pytest.raises(BackupError, match=r"tables of schema .*: artifacts"):
            act(folder.path)
    assert not any(elsewhere.rows().values())


def test_of_a_backup_each_missing_and_damaged_blob_is_named(
    here: House, elsewhere: House, tmp_path: Path
) -> None:
    tenant = here.live_in()
    here.back_up(tmp_path / "backup")
    gone, spoiled, *rest = blob_paths(tmp_path / "backup" / "blobs", tenant)
    gone.unlink()
    spoil(spoiled)
    (spoiled.parent / "stranger").write_bytes(b"")
    found = here.check_backup(tmp_path / "backup")
    assert found.counts == {"missing": 1, "damaged": 1, "superfluous": 1}
    assert [line.split()[1] for line in sorted(faults(here))] == [
        f"{tenant}/{spoiled.name}",
        f"{tenant}/{gone.name}",
    ]
    # What there is, is worth having.
    assert elsewhere.restore(tmp_path / "backup").counts["missing"] == 2
    assert elsewhere.stored(tenant) == {path.name for path in rest}


@pytest.mark.parametrize("how", ["spoiled", "gone"])
def test_a_damaged_table_is_named_and_nothing_is_restored(
    here: House, elsewhere: House, tmp_path: Path, how: str
) -> None:
    here.live_in()
    folder = Folder(tmp_path / "backup")
    here.back_up(folder.path)
    if how == "spoiled":
        spoil(folder.table("jobs"))
    else:
        folder.table("jobs").unlink()
    assert here.check_backup(folder.path).counts == {"table": 1}
    assert str(folder.table("jobs")) in faults(here)[0]
    with pytest.raises(BackupError, match=r"jobs\.jsonl missing or damaged"):
        elsewhere.restore(folder.path)
    assert not any(elsewhere.rows().values())


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The disk is full at the second blob that is stored; afterwards there is room again."""
    failpoints._passages.clear()
    monkeypatch.setenv("CULTIVAR_FAILPOINT", "blob.before_rename:2:enospc")
    yield
    failpoints._passages.clear()


def test_a_backup_that_was_not_finished_is_known_as_such(
    here: House, elsewhere: House, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    here.live_in()
    request.getfixturevalue("full_disk")
    with pytest.raises(OutOfSpace):
        here.back_up(tmp_path / "backup")
    for act in (here.check_backup, elsewhere.restore):
        with pytest.raises(BackupError, match="not finished"):
            act(tmp_path / "backup")
    with pytest.raises(BackupError, match="not an empty folder"):
        here.back_up(tmp_path / "backup")
    assert not any(elsewhere.rows().values())
    assert not here.back_up(tmp_path / "another").faults  # and the role is free again


def test_a_restore_that_was_cut_short_has_left_no_row_and_is_repeated(
    here: House, elsewhere: House, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tenant = here.live_in()
    here.back_up(tmp_path / "backup")
    request.getfixturevalue("full_disk")
    with pytest.raises(OutOfSpace):
        elsewhere.restore(tmp_path / "backup")
    assert not any(elsewhere.rows().values())
    assert not elsewhere.restore(tmp_path / "backup").faults
    assert elsewhere.stored(tenant) == here.stored(tenant)


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "damaged"), ("{}", "damaged"), ('{"format": 2}', "later version"), ("\xff", "damaged")],
)
def test_a_manifest_that_says_nothing_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BackupError, match=why):
        Folder(tmp_path).manifest()


def test_a_service_that_has_something_is_not_restored_into(
    here: House, elsewhere: House, tmp_path: Path
) -> None:
    tenant = here.live_in()
    here.back_up(tmp_path / "backup")
    before = here.rows()
    with here.store.write() as tx:
        tx.workers.left("w")
    with pytest.raises(BackupError, match="not empty: there are"):
        here.restore(tmp_path / "backup")
    assert here.rows() == before
    with elsewhere.store.write() as tx:
        tx.workers.seen("w", ["cpu"], "host")
    with pytest.raises(BackupError, match="workers of cpu tasks are at work"):
        elsewhere.restore(tmp_path / "backup")
    with elsewhere.store.write() as tx:
        tx.workers.left("w")
    elsewhere.blobs.put_bytes(tenant, b"of somebody else")
    with pytest.raises(BackupError, match="blob store is not empty"):
        elsewhere.restore(tmp_path / "backup")
    assert not any(elsewhere.rows().values())


def test_rows_that_refer_to_nothing_or_to_another_tenant_are_named(
    house: House, elsewhere: House, tmp_path: Path
) -> None:
    tenant = house.live_in()
    with house.store.write() as tx:
        (dataset,), _ = tx.datasets.list(tenant, 10)
        artifact = tx.artifacts.list(tenant, dataset.job_id)[0]
        other = next(one.id for one in tx.tenants.list() if one.id != tenant)
        tx.run(update(datasets).where(datasets.c.id == dataset.id).values(tenant_id=other))
    past_constraints(house, f"UPDATE artifacts SET job_id = 'job_gone' WHERE id = '{artifact.id}'")
    rows = [
        f"row         artifacts {artifact.id}: its job_id job_gone is not there",
        f"row         datasets {dataset.id}: its job_id {dataset.job_id} is another tenant's",
    ]
    for look in (house.check, lambda: house.check_backup(tmp_path / "backup")):
        look()
        assert sorted(line for line in faults(house) if line.startswith("row ")) == rows
        if not (tmp_path / "backup").exists():
            house.back_up(tmp_path / "backup")
    with pytest.raises(BackupError, match="rows that do not hold together: 2"):
        elsewhere.restore(tmp_path / "backup")
    assert not any(elsewhere.rows().values())


def past_constraints(house: House, statement: str) -> None:
    """Execute what the database's constraints would refuse."""
    with house.store.read() as tx:
        file = tx.connection.engine.url.database
        on_sqlite = tx.connection.dialect.name == "sqlite"
    if on_sqlite:
        with closing(
            sqlite3.connect(str(file))
        ) as connection:  # keys are not enforced unless asked for
            connection.execute(statement)
            connection.commit()
        return
    with house.store.write() as tx:
        tx.connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        tx.connection.exec_driver_sql(statement)
