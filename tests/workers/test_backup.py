"""A job that ran when a backup was made is finished by a worker elsewhere."""

from collections.abc import Callable
from pathlib import Path

from app.backup.checking import check_service
from app.backup.folder import Folder
from app.backup.restoring import restore_backup
from app.backup.taking import take_backup
from app.domain.jobs import JobState
from app.domain.records import DatasetState
from app.store.blobs import open_blobs
from app.store.database import Store
from tests.workers.conftest import Service
from tests.workers.here import Here


def test_what_ran_here_at_the_time_is_finished_there(
    service: Service,
    latents: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    dataset, job = service.dataset(latents())
    with service.store.write() as tx:
        assert tx.tasks.claim(("cpu",), "a worker that stays behind", 600) is not None
    backup = Folder(tmp_path / "backup")
    assert not take_backup(service.store, service.blobs, backup, print).faults
    there = service.settings.model_copy(update={"home": tmp_path / "there"})
    there.home.mkdir()
    store, blobs = Store(there.database), open_blobs(there.blobs, there.home)
    store.migrate()
    assert not restore_backup(backup, store, blobs, print).faults
    moved = Service(store, there, blobs, service.tenant)
    try:
        Here(moved, tmp_path / "here").work()
        assert moved.get(job).state is JobState.SUCCEEDED
        with store.read() as tx:
            assert tx.datasets.get(service.tenant, dataset).state is DatasetState.READY
        assert not check_service(store, blobs, print).faults
    finally:
        moved.close()
