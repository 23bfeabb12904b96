"""The API is killed between a commit and its wake-up: a free worker has the job all the same, soon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from app.domain.jobs import JobState
from app.domain.records import ALL_SCOPES
from app.settings import Settings
from tests.conftest import seconds_held_up
from tests.sweep.api_process import Api
from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service

MIB = 1 << 20
CLAIMED_SECONDS = 2.0
"""From a commit to its claim by a free worker, as promised."""

NEVER = 3600.0


def usual(name: str) -> float:
    """Return a setting's default, in seconds."""
    seconds: float = Settings.model_fields[name].default
    return seconds


@pytest.mark.parametrize(
    ("poll_seconds", "reconcile_seconds"),
    [(NEVER, usual("reconcile_seconds")), (usual("poll_seconds"), NEVER)],
    ids=["the reconciler rings", "who reconciled died with the API"],
)
def test_what_a_killed_api_had_committed_and_not_rung_for_is_claimed_within_two_seconds(
    request: pytest.FixtureRequest,
    service: Service,
    latents: Callable[..., bytes],
    poll_seconds: float,
    reconcile_seconds: float,
) -> None:
    worker = service.worker(poll_seconds=poll_seconds, reconcile_seconds=reconcile_seconds)
    data = latents()
    blob = service.blobs.put_bytes(service.tenant, data)
    with service.store.write() as tx:
        upload = tx.uploads.create(service.tenant, "birds.npz", len(data), None, MIB)
        tx.uploads.complete(service.tenant, upload.id, blob.sha256, len(data))
        secret = tx.keys.create(service.tenant, "test", ALL_SCOPES)[1]
    unhelpful = service.settings.model_copy(update={"reconcile_seconds": NEVER})
    api = Api(unhelpful, secret, "store.after_commit:2")  # the first was the key's last use
    request.addfinalizer(api.kill)
    service.until(lambda: worker.is_warm, bool, PATIENCE_SECONDS)  # free, and with nothing to read
    held_up = seconds_held_up(worker.process.pid)
    with pytest.raises(httpx.TransportError):
        api.http.post("/v1/datasets", json={"upload_ids": [upload.id]})
    with service.store.read() as tx:
        (made,), _ = tx.jobs.list(service.tenant, limit=2)
    service.until(lambda: service.get(made.id).started_at, bool, PATIENCE_SECONDS)
    held_up = seconds_held_up(worker.process.pid) - held_up
    job = service.get(made.id)
    assert job.started_at is not None
    waited = (job.started_at - job.created_at).total_seconds()
    assert waited <= CLAIMED_SECONDS + held_up, f"{held_up:.2f} s of it for lack of a processor"
    assert service.wait(job.id).state is JobState.SUCCEEDED
