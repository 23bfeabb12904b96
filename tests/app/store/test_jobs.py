"""Jobs: made, read, listed, canceled, and ended when their time is up."""

import time
from datetime import timedelta
from typing import Any

import pytest

from app.domain.jobs import JobState, NewJob
from app.domain.problems import JobFailure
from app.domain.tasks import Checkpoint, Effects, LeaseLost
from app.store.database import Store


def test_a_new_job_is_queued_with_its_place_in_the_queue(lab: Any) -> None:
    first, second = lab.job("gelda"), lab.job("gelda", metadata={"run": "7"}, evaluate={"seeds": 2})
    assert first.state is JobState.QUEUED
    assert (first.queue_position, second.queue_position) == (1, 2)
    assert second.metadata == {"run": "7"}
    assert second.evaluate == {"seeds": 2}
    assert [step.code for step in first.steps] == [
        "prepare",
        "train",
        "choose",
        "sample",
        "rivals",
        "evaluate",
        "publish",
    ]


def test_making_a_job_says_which_bell_to_ring(store: Store, lab: Any) -> None:
    with store.write() as tx:
        tx.jobs.create(NewJob(lab.tenant, "gelda", {}, seed=1))
        assert tx.queued == {"gpu": 1}


def test_every_visible_change_is_a_new_version(lab: Any) -> None:
    job = lab.job("gelda")
    versions = [job.version]
    claim = lab.claimed()
    versions.append(lab.see(job.id).version)
    for write in (
        lambda tx: tx.tasks.progress(claim.lease, 1, 2),
        lambda tx: tx.tasks.checkpoint(claim.lease, Checkpoint("b" * 64, 1)),
        lambda tx: tx.jobs.request_cancel(lab.tenant, job.id),
        lambda tx: tx.tasks.cancel(claim.lease),
    ):
        with lab.store.write() as tx:
            write(tx)
        versions.append(lab.see(job.id).version)
    assert versions == sorted(set(versions))


def test_a_page_goes_on_where_the_last_one_ended(lab: Any) -> None:
    ids = [lab.job("ingest").id for _ in range(5)]
    seen, after, more = [], None, True
    while more:
        with lab.store.read() as tx:
            page, more = tx.jobs.list(lab.tenant, limit=2, after=after)
        seen += [job.id for job in page]
        after = seen[-1]
    assert seen == ids[::-1]


def test_lists_are_filtered(lab: Any) -> None:
    first = lab.job("ingest", metadata={'a"b': "1", "c": "2"})
    second = lab.job("gelda", metadata={"c": "3"})
    lab.claimed("gpu")

    def ids(**filters: Any) -> set[str]:
        with lab.store.read() as tx:
            found = tx.jobs.list(lab.tenant, limit=50, **filters)[0]
        return {job.id for job in found} & {first.id, second.id}

    assert ids(kind="gelda") == {second.id}
    assert ids(state="running") == {second.id}
    assert ids(metadata={'a"b': "1", "c": "2"}) == {first.id}
    assert ids(metadata={'a"b': "1", "c": "3"}) == set()
    assert ids(created_after=first.created_at - timedelta(seconds=1)) == {first.id, second.id}
    assert ids(created_after=second.created_at) == set()


def test_many_come_in_the_order_asked_for(lab: Any) -> None:
    first, second = lab.job("ingest"), lab.job("ingest")
    with lab.store.read() as tx:
        found = tx.jobs.many(lab.tenant, [second.id, "job_unknown", first.id, second.id])
    assert [job.id for job in found] == [second.id, first.id]


def test_jobs_are_counted_by_state(lab: Any) -> None:
    lab.job("ingest")
    lab.job("ingest")
    lab.claimed()
    with lab.store.read() as tx:
        assert tx.jobs.counts_by_state() == {"queued": 1, "running": 1}


def test_another_tenant_sees_nothing(store: Store, lab: Any) -> None:
    job = lab.job("classifier")
    lab.succeed(lab.claimed())
    lab.succeed(lab.claimed())
    with store.write() as tx:
        other = tx.tenants.create("other").id
        assert tx.jobs.get(other, job.id) is None
        assert tx.jobs.many(other, [job.id]) == []
        assert tx.jobs.list(other, limit=10) == ([], False)
        assert tx.jobs.request_cancel(other, job.id) is None
        assert tx.events.page(other, job.id, 0, 10) == ([], False)
        assert tx.artifacts.list(other, job.id) == []
        assert tx.datasets.get(other, job.spec["dataset"]) is None
        assert tx.datasets.list(other, 10) == ([], False)


def test_events_are_paged_in_order(lab: Any) -> None:
    job = lab.job("classifier")
    lab.succeed(lab.claimed())
    lab.succeed(lab.claimed())
    types, after, more = [], 0, True
    while more:
        with lab.store.read() as tx:
            page, more = tx.events.page(lab.tenant, job.id, after, 2)
        types += [event.type for event in page]
        assert [event.seq for event in page] == sorted(event.seq for event in page)
        after = page[-1].seq
    assert types == lab.events(job.id)
    assert types[0] == "job.queued"
    assert types[-1] == "job.succeeded"


def _blocked(lab: Any) -> Any:
    return lab.job("gelda", inputs=(lab.job("ingest").id,))


def _between_stages(lab: Any) -> Any:
    job = lab.job("classifier")
    lab.succeed(lab.claimed())
    return job


@pytest.mark.parametrize("make", [lambda lab: lab.job("gelda"), _blocked, _between_stages])
def test_a_cancel_is_done_at_once_where_no_worker_has_the_job(lab: Any, make: Any) -> None:
    job = make(lab)
    with lab.store.write() as tx:
        assert tx.jobs.request_cancel(lab.tenant, job.id).state is JobState.CANCELED
    assert lab.claim("gpu") is None
    with lab.store.write() as tx:
        again = tx.jobs.request_cancel(lab.tenant, job.id)
    assert again == lab.see(job.id)


def test_a_running_job_is_canceled_when_its_last_worker_lets_go(lab: Any) -> None:
    job, shards = lab.gelda_in_shards(2)
    with lab.store.write() as tx:
        assert tx.jobs.request_cancel(lab.tenant, job.id).state is JobState.CANCELING
    for claim, state in zip(shards, (JobState.CANCELING, JobState.CANCELED), strict=True):
        with lab.store.write() as tx:
            tx.tasks.cancel(claim.lease)
        assert lab.see(job.id).state is state
    assert lab.see(job.id).cancel_requested
    assert lab.claim() is None


@pytest.mark.parametrize("end", ["succeed", "fail", "crashed", "release", "requeue", "expire"])
def test_after_a_cancel_any_end_of_the_task_is_a_cancel(lab: Any, end: str) -> None:
    job = lab.job("ingest")
    claim = lab.claimed(seconds=-1)
    with lab.store.write() as tx:
        tx.jobs.request_cancel(lab.tenant, job.id)
    with lab.store.write() as tx:
        match end:
            case "succeed":
                assert not tx.tasks.succeed(claim.lease, Effects(summary={"late": 1}))
            case "fail":
                tx.tasks.fail(claim.lease, JobFailure("interrupted"))
            case "crashed":
                assert not tx.tasks.crashed(claim.lease, 3)
            case "release":
                assert not tx.tasks.release(claim.lease)
            case "requeue":
                assert not tx.tasks.requeue(claim.lease, "disk full")
            case "expire":
                assert tx.tasks.expire_leases(3) == 1
    seen = lab.see(job.id)
    assert (seen.state, seen.result) == (JobState.CANCELED, None)
    assert lab.claim() is None


def test_a_worker_that_does_not_let_go_is_fenced_off_after_a_while(lab: Any) -> None:
    job = lab.job("ingest")
    claim = lab.claimed()
    with lab.store.write() as tx:
        tx.jobs.request_cancel(lab.tenant, job.id)
        assert tx.jobs.end_canceling(60) == 0
    with lab.store.write() as tx:
        assert tx.jobs.end_canceling(0) == 1
    assert lab.see(job.id).state is JobState.CANCELED
    with pytest.raises(LeaseLost):
        lab.succeed(claim)


def test_a_job_that_never_started_expires(lab: Any) -> None:
    late, timely = lab.job("ingest", deadline_seconds=0), lab.job("ingest", deadline_seconds=60)
    dependent = lab.job("gelda", inputs=(late.id,))
    with lab.store.write() as tx:
        assert tx.jobs.end_overdue(grace_seconds=10) == 1
    assert lab.see(late.id).state is JobState.EXPIRED
    assert lab.see(dependent.id).error["code"] == "input_failed"
    assert lab.claimed().job_id == timely.id


def test_an_overdue_job_is_not_started(lab: Any) -> None:
    late = lab.job("ingest", deadline_seconds=0)
    assert lab.claim() is None
    assert lab.see(late.id).state is JobState.EXPIRED


def test_a_started_job_fails_after_its_deadline_when_its_worker_does_not_say_so(lab: Any) -> None:
    job = lab.job("ingest", deadline_seconds=1.0)
    lab.claimed()
    time.sleep(1.1)
    with lab.store.write() as tx:
        assert tx.jobs.end_overdue(grace_seconds=10) == 0
        assert tx.jobs.end_overdue(grace_seconds=0) == 1
    seen = lab.see(job.id)
    assert (seen.state, seen.error["code"]) == (JobState.FAILED, "deadline_exceeded")


def test_the_time_left_follows_from_the_pace(lab: Any) -> None:
    job = lab.job("ingest")
    claim = lab.claimed()
    assert lab.see(job.id).eta_seconds is None
    with lab.store.write() as tx:
        tx.tasks.progress(claim.lease, 1, 100)
    assert lab.see(job.id).eta_seconds is None, "how a task starts says nothing of its pace"
    with lab.store.write() as tx:
        tx.tasks.progress(claim.lease, 50, 100)
    assert 0 < lab.see(job.id).eta_seconds < 10


@pytest.mark.parametrize("kind", ["gelda", "ingest", "sample", "embed"])
def test_what_making_a_job_returns_is_what_a_look_at_it_returns(lab: Any, kind: str) -> None:
    """It is not read back: this is what keeps the two from drifting apart."""
    more = {"spec": {"generator": "gen_x"}} if kind == "sample" else {}
    alone = lab.job(kind, metadata={"a": "b", "c": "d"}, deadline_seconds=60.0, **more)
    assert alone == lab.see(alone.id)
    assert alone.queue_position is not None
    waiting = lab.job(kind, inputs=(alone.id,), **more)
    assert waiting == lab.see(waiting.id)
    assert waiting.blocked_by == (alone.id,)
    lab.cancel(alone.id)
    failed = lab.job(kind, inputs=(alone.id,), **more)
    assert failed == lab.see(failed.id)
    assert failed.error is not None
