"""Claiming: who gets which task, and with what in hand."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.domain.ids import new_id
from app.domain.jobs import JobState
from app.domain.tasks import Checkpoint, Effects, NewArtifact, NewModel, NewTask
from app.store.database import Store


def test_an_empty_queue_gives_nothing(lab: Any) -> None:
    assert lab.claim() is None


def test_a_claim_starts_the_job_and_carries_all_a_worker_needs(lab: Any) -> None:
    job = lab.job("gelda", evaluate={"seeds": 3}, spec={"plan": {"match": "largest"}})
    claim = lab.claimed()
    assert (claim.job_id, claim.kind, claim.stage, claim.shard) == (job.id, "gelda", "prepare", 0)
    assert claim.inputs["dataset"]["modality"] == "embedding"
    assert (claim.seed, claim.evaluate) == (1, {"seeds": 3})
    assert claim.spec["plan"] == {"match": "largest"}
    assert (claim.lease.attempt, claim.checkpoint, claim.earlier) == (1, None, {})
    assert claim.seconds_left is None
    seen = lab.see(job.id)
    assert seen.state is JobState.RUNNING
    assert seen.started_at is not None
    assert lab.events(job.id) == ["job.queued", "job.running", "job.step"]


def test_a_worker_gets_only_tasks_of_its_classes(lab: Any) -> None:
    lab.job("gelda")
    assert lab.claim("cpu") is None
    assert lab.claim("gpu") is not None


def test_a_task_is_claimed_once(lab: Any) -> None:
    lab.job("gelda")
    assert lab.claim() is not None
    assert lab.claim() is None


def test_the_oldest_job_comes_first(lab: Any) -> None:
    jobs = [lab.job("gelda").id for _ in range(3)]
    assert [lab.claimed().job_id for _ in jobs] == jobs


def test_a_later_stage_of_an_old_job_comes_before_a_new_job(lab: Any) -> None:
    old = lab.job("classifier")
    first = lab.claimed()
    lab.job("classifier")
    lab.succeed(first)
    assert lab.claimed().job_id == old.id


def test_a_tenant_with_fewer_running_tasks_is_served_first(store: Store, lab: Any) -> None:
    with store.write() as tx:
        other = tx.tenants.create("other").id
    for _ in range(3):
        lab.job("gelda")
    late = lab.job("gelda", tenant=other)
    lab.claimed()
    assert lab.claimed().job_id == late.id


def test_a_late_tenant_does_not_wait_behind_a_long_queue(store: Store, lab: Any) -> None:
    """Four workers at once; by the order of age alone the late one would have the last turns."""
    with store.write() as tx:
        late = tx.tenants.create("late").id
    for _ in range(30):
        lab.job("ingest")
    for _ in range(5):
        lab.job("ingest", tenant=late)
    turns: list[str] = []
    start = threading.Barrier(4)

    def serve(number: int) -> None:
        start.wait()
        while claim := lab.claim(worker=f"w{number}"):
            turns.append(claim.tenant_id)
            lab.succeed(claim)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(serve, range(4)))
    assert Counter(turns) == {lab.tenant: 30, late: 5}
    last = len(turns) - 1 - turns[::-1].index(late)
    # One each in turn would be 5; claimants that look at the same moment see the same numbers.
    assert Counter(turns[:last])[lab.tenant] <= 2 * 5 + 4


def test_many_claimants_of_one_task_get_it_once(store: Store, lab: Any) -> None:
    job = lab.job("gelda")
    start = threading.Barrier(8)

    def claim(number: int) -> object:
        start.wait()
        return lab.claim(worker=f"w{number}")

    with ThreadPoolExecutor(8) as threads:
        claims = [claim for claim in threads.map(claim, range(8)) if claim]
    assert [claim.job_id for claim in claims] == [job.id]


def test_many_claimants_share_out_jobs_and_shards_without_a_repeat(lab: Any) -> None:
    for _ in range(10):
        lab.job("gelda")
    lab.job("sample", spec={"generator": _generator(lab)})
    lab.succeed(
        lab.claimed("cpu"), Effects(plan=tuple(NewTask("sample", n, {}) for n in range(12)))
    )
    start = threading.Barrier(6)

    def drain(number: int) -> list[str]:
        start.wait()
        taken = []
        while claim := lab.claim("gpu", worker=f"w{number}"):
            taken.append(claim.lease.task_id)
        return taken

    with ThreadPoolExecutor(6) as threads:
        taken = Counter(task for tasks in threads.map(drain, range(6)) for task in tasks)
    assert len(taken) == 22
    assert set(taken.values()) == {1}


def test_a_checkpoint_is_where_the_next_attempt_starts(store: Store, lab: Any) -> None:
    lab.job("gelda")
    claim = lab.claimed()
    with store.write() as tx:
        tx.tasks.checkpoint(claim.lease, Checkpoint("b" * 64, 500))
        tx.tasks.release(claim.lease)
    assert lab.claimed().checkpoint == Checkpoint("b" * 64, 500)


def test_results_of_earlier_stages_come_in_shard_order(lab: Any) -> None:
    lab.job("sample", spec={"generator": _generator(lab)})
    plan = tuple(NewTask("sample", shard, {"n": shard}) for shard in (1, 0))
    lab.succeed(lab.claimed(), Effects({"planned": 2}, plan))
    second, first = (lab.claimed() for _ in range(2))
    assert {second.payload["n"], first.payload["n"]} == {0, 1}
    for claim in (first, second):
        lab.succeed(claim, Effects({"shard": claim.shard}))
    earlier = lab.claimed().earlier
    assert earlier == {"plan": [{"planned": 2}], "sample": [{"shard": 0}, {"shard": 1}]}


def test_a_sample_job_gets_its_generator_by_id_or_by_job(lab: Any) -> None:
    generator = _generator(lab)
    lab.job("sample", spec={"generator": generator})
    with lab.store.read() as tx:
        job = tx.generators.get(lab.tenant, generator).job_id
    lab.job("sample", spec={"generator": job})
    found = [lab.claimed().inputs["generator"] for _ in range(2)]
    assert found[0] == found[1]
    assert found[0]["id"] == generator


def test_uploads_and_vectors_are_filled_in(store: Store, lab: Any) -> None:
    with store.write() as tx:
        upload = tx.uploads.create(lab.tenant, "u.npz", 9, None, 100)
        tx.uploads.complete(lab.tenant, upload.id, "c" * 64, 9)
    lab.job("ingest", spec={"uploads": [upload.id]})
    lab.job("gelda", spec={"classes": {"source": "upload", "upload": upload.id}})
    lab.job("gelda", spec={"subdomains": {"source": "upload", "upload": upload.id}})
    lab.job("gelda", spec={"classifier": {"initial": {"upload": upload.id}}})
    lab.job("classifier", spec={"head": {"initial": {"upload": upload.id}}})
    expected = {"id": upload.id, "filename": "u.npz", "sha256": "c" * 64, "bytes": 9}
    assert lab.claimed().inputs == {"uploads": [expected]}
    for name in ("vectors", "subdomain_vectors", "head", "head"):
        inputs = lab.claimed().inputs
        assert inputs[name] == expected
        assert {"vectors", "subdomain_vectors", "head"} & set(inputs) == {name}


def test_a_mix_names_the_outputs_of_its_jobs(store: Store, lab: Any) -> None:
    made = lab.job("classifier")
    lab.succeed(lab.claimed())
    artifact = NewArtifact("synthetic.npz", "d" * 64, 4, "application/zip")
    lab.succeed(lab.claimed(), Effects(artifacts=(artifact,), summary={"rows": 40}))
    lab.job("classifier", spec={"mix": [made.id]})
    mix = lab.claimed().inputs["mix"]
    assert mix[0]["job_id"] == made.id
    assert mix[0]["artifacts"] == {"synthetic.npz": {"sha256": "d" * 64, "bytes": 4}}
    assert mix[0]["summary"]["rows"] == 40


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("sample", {"generator": new_id("gen")}),
        ("gelda", {"dataset": new_id("ds")}),
        ("ingest", {"uploads": [new_id("up")]}),
        ("classifier", {"mix": [new_id("job")]}),
    ],
)
def test_a_job_whose_input_is_gone_fails_and_the_next_is_served(
    lab: Any, kind: str, spec: dict[str, Any]
) -> None:
    orphan, healthy = lab.job(kind, spec=spec), lab.job("gelda")
    assert lab.claimed().job_id == healthy.id
    failed = lab.see(orphan.id)
    assert failed.state is JobState.FAILED
    assert failed.error["code"] == "input_failed"


def test_another_tenants_input_is_as_good_as_none(store: Store, lab: Any) -> None:
    generator = _generator(lab)
    with store.write() as tx:
        other = tx.tenants.create("other").id
    lab.job("sample", tenant=other, spec={"generator": generator})
    assert lab.claim() is None


def test_queued_tasks_are_counted_by_class(store: Store, lab: Any) -> None:
    lab.job("gelda")
    lab.job("classifier")
    lab.job("classifier")
    with store.read() as tx:
        assert tx.tasks.queued_by_class() == {"gpu": 1, "cpu": 2}


def _generator(lab: Any) -> str:
    lab.job("classifier")
    lab.succeed(lab.claimed("cpu"))
    files = {"generator.safetensors": {"sha256": "e" * 64, "bytes": 1}}
    lab.succeed(lab.claimed("cpu"), Effects(generator=NewModel(files, {"method": "gelda"})))
    with lab.store.read() as tx:
        return tx.generators.list(lab.tenant, 1)[0][0].id
