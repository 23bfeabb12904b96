"""Deleting from Python and from a shell: what goes is shown before, what derives is a choice."""

import argparse
import asyncio
import json
import time

import numpy as np
import pytest

from cultivar import AsyncClient, ConflictError, Deletion, NotFoundError
from cultivar._cli import deleting
from cultivar._cli.parser import Exit
from cultivar.specs import Gelda


@pytest.fixture
def trees(local, arrays):
    """A dataset of bytes that no other has, with a job that has ended."""
    own = np.random.default_rng().normal(size=arrays["x"].shape).astype(np.float32)
    dataset = local.datasets.upload({**arrays, "x": own}, name="to be deleted", progress=False)
    job = local.jobs.create(Gelda(dataset=dataset, raise_to=60))
    job.cancel()
    dataset.wait(progress=False)
    while not job.refresh().finished:
        time.sleep(0.05)
    return dataset, job


def test_a_dataset_is_deleted_by_choice_of_what_derives(local, trees):
    dataset, job = trees
    told = local.datasets.delete(dataset, dry_run=True)
    assert told.dry_run
    assert told.refusal.code == "has_derivations"
    assert [one.id for one in told.derived] == [job.id]
    with pytest.raises(ConflictError) as caught:
        local.datasets.delete(dataset)
    assert caught.value.code == "has_derivations"
    done = local.datasets.delete(dataset, cascade=True)
    assert [one.kind for one in done.jobs] == ["ingest", "gelda"]
    assert done.freed_bytes > 0
    for look in (dataset.refresh, job.refresh, lambda: local.jobs.delete(job)):
        with pytest.raises(NotFoundError):
            look()


def test_the_asynchronous_client_deletes_too(local, trees):
    dataset, job = trees

    async def both():
        async with AsyncClient(local.base_url, local._connection.api_key) as client:
            kept = await client.datasets.delete(dataset.id, cascade=False)
            return kept, await client.jobs.delete(job.id)

    kept, gone = asyncio.run(both())
    assert [one.id for one in kept.derived] == [one.id for one in gone.jobs] == [job.id]


def test_what_was_refused_when_it_was_shown_is_not_deleted_unasked():
    """What stood in the way may be gone a moment later; nobody has agreed to anything by then."""
    called = []
    answer = {"id": "job_1", "dry_run": True, "jobs": []}

    def delete(named, *, dry_run=False, cascade=None):
        called.append((named, dry_run, cascade))
        refusal = {"status": 409, "code": "job_not_ended", "detail": "Cancel it first."}
        return Deletion.model_validate({**answer, "refusal": refusal if dry_run else None})

    given = argparse.Namespace(job="job_1", dry_run=False, yes=False, cascade=None)
    with pytest.raises(ConflictError, match="Cancel it first"):
        deleting._delete(delete, "job", given)
    assert called == [("job_1", True, None)]


def test_the_command_line_shows_what_goes_and_asks(cultivar, local, trees):
    dataset, job = trees
    told = cultivar("datasets", "delete", dataset.id, "--dry-run")
    assert told.returncode == Exit.DONE, told.stderr
    assert dataset.job_id in told.stdout
    assert job.id in told.stdout
    assert "It would be refused, has_derivations" in told.stdout
    refused = cultivar("datasets", "delete", dataset.id, "--yes")
    assert refused.returncode == Exit.REFUSED
    assert "cascade" in refused.stderr
    unasked = cultivar("datasets", "delete", dataset.id, "--keep-derived")
    assert unasked.returncode == Exit.USAGE
    assert "say --yes" in unasked.stderr
    assert local.datasets.get(dataset.id).id == dataset.id
    assert cultivar("datasets", "delete", dataset.id, "--keep-derived", "--yes").returncode == 0
    kept = json.loads(cultivar("jobs", "show", job.id).stdout)
    assert kept["spec"]["dataset"] == dataset.id
    gone = cultivar("jobs", "delete", job.id, "--yes")
    assert gone.returncode == Exit.DONE, gone.stderr
    assert f"deleted {job.id}" in gone.stderr
    assert cultivar("jobs", "delete", job.id, "--yes").returncode == Exit.REFUSED
