"""What a backup has, and what is restored from it."""

import hashlib
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.backup.folder import BackupError, Folder
from app.backup.holding import Holding
from app.domain.jobs import JobState
from app.domain.problems import Unavailable
from app.store.blobs import open_blobs
from tests.app.backup.conftest import House, Rows

CLOCKS = ("lease_until", "lease_boot", "claimed_clock", "delayed_until", "progress_event_clock")


def without_clocks(rows: Rows) -> Rows:
    tasks = [{k: v for k, v in row.items() if k not in CLOCKS} for row in rows["tasks"]]
    return {**rows, "tasks": tasks}


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_all_that_was_there_is_there_again_on_either_database(
    found_house: Callable[[str], House],
    house: House,
    target: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    url: str = request.getfixturevalue(f"other_{target}_url")
    tenant = house.live_in()
    assert not house.back_up(tmp_path / "backup").faults
    assert not house.check_backup(tmp_path / "backup").faults
    place = found_house(url)
    assert not place.restore(tmp_path / "backup").faults
    before, after = house.rows(), place.rows()
    assert {name for name, rows in before.items() if not rows} == set()
    assert without_clocks(after) == without_clocks(before)
    assert place.stored(tenant) == house.stored(tenant)
    with place.store.read() as tx:
        assert tx.workers.count_by_class() == {}
    with place.store.write() as tx:
        assert tx.roles.hold("reconciler", "a new one", 30)


def test_a_backup_is_for_its_owner_alone(here: House, tmp_path: Path) -> None:
    here.live_in()
    folder = tmp_path / "deep" / "backup"
    here.back_up(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_task_that_ran_is_claimed_at_once_and_no_crash_is_charged(
    house: House, elsewhere: House, tmp_path: Path
) -> None:
    tenant = house.tenant("t")
    job = house.ingest(tenant)
    claim = house.claimed()
    house.checkpoint(claim, b"half of it")
    house.back_up(tmp_path / "backup")
    assert not elsewhere.restore(tmp_path / "backup").faults
    again = elsewhere.claimed()
    assert (again.job_id, again.lease.attempt) == (job.id, claim.lease.attempt + 1)
    assert again.checkpoint is not None
    assert elsewhere.blobs.verify(tenant, again.checkpoint.sha256)
    elsewhere.finish(again)
    rows = elsewhere.rows()
    assert rows["jobs"][0]["state"] == "succeeded"
    assert rows["tasks"][0]["crash_count"] == 0
    assert rows["jobs"][0]["cpu_seconds"] < 30  # of the second attempt alone: the clocks are two
    assert "job.requeued" in [row["type"] for row in rows["events"]]
    # Where the backup comes from, nothing has changed.
    house.finish(claim)
    assert not house.check().faults


def test_a_job_that_was_being_canceled_is_canceled(
    here: House, elsewhere: House, tmp_path: Path
) -> None:
    tenant = here.tenant("t")
    job = here.ingest(tenant)
    here.claimed()
    with here.store.write() as tx:
        tx.jobs.request_cancel(tenant, job.id)
    here.back_up(tmp_path / "backup")
    elsewhere.restore(tmp_path / "backup")
    with elsewhere.store.read() as tx:
        found = tx.jobs.get(tenant, job.id)
    assert found is not None
    assert found.state is JobState.CANCELED


def test_a_task_that_was_delayed_is_claimed_at_once(
    here: House, elsewhere: House, tmp_path: Path
) -> None:
    here.ingest(here.tenant("t"))
    claim = here.claimed()
    with here.store.write() as tx:
        tx.tasks.requeue(claim.lease, "no_space", delay=3600)
    here.back_up(tmp_path / "backup")
    elsewhere.restore(tmp_path / "backup")
    assert elsewhere.claim() is not None


def test_of_an_upload_that_was_under_way_no_part_is_said_to_be_there(
    here: House, elsewhere: House, tmp_path: Path
) -> None:
    tenant = here.tenant("t")
    with here.store.write() as tx:
        upload = tx.uploads.create(tenant, "file", 20, None, 10)
        tx.uploads.record_part(tenant, upload.id, 1, 10, "a" * 64)
    here.back_up(tmp_path / "backup")
    elsewhere.restore(tmp_path / "backup")
    with elsewhere.store.read() as tx:
        found = tx.uploads.get(tenant, upload.id)
    assert found is not None
    assert found.parts == ()


def test_a_backup_of_an_object_store_goes_into_another_one(
    here: House, elsewhere: House, s3: str, tmp_path: Path
) -> None:
    here.blobs = open_blobs(f"s3://bucket/{tmp_path.name}/a", tmp_path / "a")
    elsewhere.blobs = open_blobs(f"s3://bucket/{tmp_path.name}/b", tmp_path / "b")
    tenant = here.live_in()
    assert not here.back_up(tmp_path / "backup").faults
    assert not elsewhere.restore(tmp_path / "backup").faults
    assert elsewhere.stored(tenant) == here.stored(tenant) != set()


def test_a_blob_store_that_once_does_not_answer_is_asked_again(
    here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.live_in()
    asked: list[str] = []
    really = here.blobs.open_range

    def now_and_then(tenant_id: str, sha256: str) -> Iterator[bytes]:
        asked.append(sha256)
        if len(asked) == 1:
            raise Unavailable("The object store does not answer.")
        return really(tenant_id, sha256)

    monkeypatch.setattr(here.blobs, "open_range", now_and_then)
    assert not here.back_up(tmp_path / "backup").faults
    assert not here.check_backup(tmp_path / "backup").faults
    assert len(asked) == Folder(tmp_path / "backup").manifest().blobs + 1


def test_an_older_schema_is_brought_up_to_date(
    here: House, elsewhere: House, tmp_path: Path
) -> None:
    here.live_in()
    folder = Folder(tmp_path / "backup")
    here.back_up(folder.path)
    make_older(folder)
    assert not here.check_backup(folder.path).faults
    assert not elsewhere.restore(folder.path).faults
    before, after = here.rows(), elsewhere.rows()
    assert after["review_items"] == []
    assert without_clocks(after) == without_clocks(before) | {"review_items": []}


def test_a_later_schema_is_refused(here: House, elsewhere: House, tmp_path: Path) -> None:
    here.back_up(tmp_path / "backup")
    change_manifest(Folder(tmp_path / "backup"), revision="9999", version="9.9")
    for act in (here.check_backup, elsewhere.restore):
        with pytest.raises(BackupError, match=r"9999.*later version"):
            act(tmp_path / "backup")


def test_a_database_of_another_schema_is_not_backed_up(
    tmp_path: Path, house: House, database_url: str
) -> None:
    with house.store.write() as tx:
        tx.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(BackupError, match="has schema 0001"):
        house.back_up(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_collection_of_garbage_waits_for_a_backup(house: House) -> None:
    with Holding(house.store, print), house.store.write() as tx:
        assert not tx.roles.hold("blobs", "collector", 30)
    with house.store.write() as tx:
        assert tx.roles.hold("blobs", "collector", 30)


def test_a_backup_waits_for_collection_of_garbage(house: House, tmp_path: Path) -> None:
    with house.store.write() as tx:
        tx.roles.hold("blobs", "collector", 1)
    house.back_up(tmp_path / "backup")
    with house.store.write() as tx:
        tx.roles.hold("blobs", "collector", 30)
    with (
        pytest.raises(BackupError, match="at work on these blobs"),
        Holding(house.store, print, 0.1),
    ):
        pass


def test_a_backup_that_lost_its_role_does_not_go_on(house: House) -> None:
    with Holding(house.store, print) as holding:
        with house.store.write() as tx:
            tx.connection.exec_driver_sql("UPDATE roles SET holder = 'collector'")
        with house.store.write() as tx, pytest.raises(BackupError, match="try again"):
            holding.secure(tx)


def change_manifest(folder: Folder, **values: Any) -> None:
    path = folder.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def make_older(folder: Folder) -> None:
    """Make a backup one of the first schema, which had neither reviews nor what jobs await."""
    manifest = json.loads((folder.path / "manifest.json").read_text())
    tables = manifest["tables"]
    del tables["review_items"]
    path = folder.table("jobs")
    head, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    new = {"deadline_left", "awaiting", "review"}
    kept = [index for index, name in enumerate(head) if name not in new]
    older = [{name: kind for name, kind in head.items() if name not in new}]
    older += [[row[index] for index in kept] for row in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in older))
    tables["jobs"] = file_of(path, len(rows))
    change_manifest(folder, revision="0001", tables=tables)


def file_of(path: Path, rows: int) -> dict[str, Any]:
    data = path.read_bytes()
    return {"rows": rows, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
