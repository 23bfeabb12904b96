"""How tasks end, and what follows: stages, effects, dependents."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from app.domain.jobs import JobState, NewJob
from app.domain.problems import JobFailure, NotFound
from app.domain.records import DatasetState
from app.domain.tasks import Effects, LeaseLost, NewArtifact, NewModel, NewTask
from app.store.database import Store

SHA = "f" * 64
MODEL = NewModel({"generator.safetensors": {"sha256": SHA, "bytes": 5}}, {"method": "gelda"})
FILE = NewArtifact("synthetic.npz", SHA, 3, "application/zip")


def overlap(lab: Any, first: Callable[[Any], object], second: Callable[[], Any]) -> Any:
    """Begin ``second`` after ``first`` has written and before it commits; return what it returned.

    Half a second is ample for a second transaction that would not wait to go wrong in.
    """
    with ThreadPoolExecutor(1) as threads:
        with lab.store.write() as tx:
            first(tx)
            later = threads.submit(second)
            time.sleep(0.5)
        return later.result()


def test_stages_follow_each_other_and_the_last_one_ends_the_job(lab: Any) -> None:
    job = lab.job("classifier")
    fit = lab.claimed()
    with lab.store.write() as tx:
        tx.tasks.succeed(fit.lease, Effects({"head": SHA}))
        assert tx.queued == {"cpu": 1}
    assert lab.see(job.id).state is JobState.FINALIZING
    publish = lab.claimed()
    assert (publish.stage, publish.earlier) == ("publish", {"fit": [{"head": SHA}]})
    lab.succeed(publish)
    done = lab.see(job.id)
    assert done.state is JobState.SUCCEEDED
    assert done.ended_at is not None
    assert lab.events(job.id)[-2:] == ["job.step", "job.succeeded"]
    assert [(step.value, step.max) for step in done.steps] == [(1, 1), (1, 1)]


def test_what_a_job_made_becomes_visible_with_its_success(lab: Any) -> None:
    job = lab.job("classifier")
    lab.succeed(lab.claimed(), Effects(counts={"generated": 2}, summary={"verdict": "helps"}))
    effects = Effects(artifacts=(FILE,), generator=MODEL, classifier=MODEL, counts={"generated": 3})
    lab.succeed(lab.claimed(), effects)
    with lab.store.read() as tx:
        artifact = tx.artifacts.list(lab.tenant, job.id)[0]
        generator = tx.generators.by_job(lab.tenant, job.id)
        classifier = tx.classifiers.by_job(lab.tenant, job.id)
        assert tx.artifacts.get(lab.tenant, artifact.id) == artifact
        assert tx.blobs.stored_bytes(lab.tenant) > 0
    assert (artifact.name, artifact.sha256) == ("synthetic.npz", SHA)
    done = lab.see(job.id)
    assert done.result == {
        "verdict": "helps",
        "generator": generator.id,
        "classifier": classifier.id,
    }
    assert done.counts == {"generated": 5}


def test_an_ingest_job_makes_its_dataset_ready(lab: Any) -> None:
    job = lab.job("ingest")
    with lab.store.write() as tx:
        tx.datasets.create(lab.tenant, "birds", "embedding", "npz", job.id, "ds_1")
    lab.succeed(lab.claimed(), Effects(dataset={"manifest": {"rows": 7}, "stats": {"n": 1}}))
    with lab.store.read() as tx:
        dataset = tx.datasets.get(lab.tenant, "ds_1")
    assert (dataset.state, dataset.manifest, dataset.stats) == (
        DatasetState.READY,
        {"rows": 7},
        {"n": 1},
    )
    assert lab.see(job.id).result == {"dataset": "ds_1"}


@pytest.mark.parametrize("end", ["failed", "canceled", "expired"])
def test_a_dataset_whose_job_ends_badly_says_so(lab: Any, end: str) -> None:
    job = lab.job("ingest", deadline_seconds=0 if end == "expired" else None)
    with lab.store.write() as tx:
        tx.datasets.create(lab.tenant, "birds", "embedding", "npz", job.id, "ds_1")
    with lab.store.write() as tx:
        if end == "failed":
            lease = tx.tasks.claim(("cpu",), "w", 30).lease
            tx.tasks.fail(lease, JobFailure("row 118 is NaN", code="non_finite_values"))
        elif end == "canceled":
            tx.jobs.request_cancel(lab.tenant, job.id)
        else:
            assert tx.tasks.claim(("cpu",), "w", 30) is None
    assert lab.see(job.id).state == end
    with lab.store.read() as tx:
        dataset = tx.datasets.get(lab.tenant, "ds_1")
    assert dataset.state is DatasetState.FAILED
    expected = "non_finite_values" if end == "failed" else end
    assert dataset.error["code"] == expected


def test_a_planned_stage_waits_for_all_its_shards(lab: Any) -> None:
    job, shards = lab.gelda_in_shards(3)
    assert [claim.payload for claim in shards] == [{"items": [n]} for n in range(3)]
    for claim in shards[:2]:
        lab.succeed(claim)
        assert lab.claim() is None
    seen = {step.code: step for step in lab.see(job.id).steps}
    assert (seen["sample"].value, seen["sample"].max) == (2, 3)
    lab.succeed(shards[2])
    assert lab.claimed().stage == "evaluate"


def test_a_planned_stage_without_tasks_is_passed_over(lab: Any) -> None:
    lab.gelda_in_shards(0)
    assert lab.claimed().stage == "evaluate"


def test_a_stage_may_plan_several_that_follow_one_after_the_other(lab: Any) -> None:
    lab.job("gelda")
    lab.train(lab.claimed())
    rivals = tuple(NewTask("rivals", number, {"rival": name}) for number, name in enumerate("ab"))
    lab.succeed(lab.claimed(), Effects(plan=(NewTask("sample", 0, {}), *rivals)))
    shard = lab.claimed()
    assert (shard.stage, lab.claim()) == ("sample", None)
    lab.succeed(shard, Effects({"rows": 1}))
    for claim in (lab.claimed(), lab.claimed()):
        lab.succeed(claim, Effects(claim.payload))
    evaluate = lab.claimed()
    assert evaluate.earlier["sample"] == [{"rows": 1}]
    assert evaluate.earlier["rivals"] == [{"rival": "a"}, {"rival": "b"}]


def test_a_stage_plans_only_what_is_its_own(lab: Any) -> None:
    lab.job("gelda")
    claim = lab.claimed()
    with pytest.raises(ValueError, match="not planned by"):
        lab.succeed(claim, Effects(plan=(NewTask("sample", 0, {}),)))
    assert lab.succeed(claim)  # nothing of the first try was kept


def test_of_two_shards_that_end_at_once_the_later_goes_on_to_the_next_stage(lab: Any) -> None:
    job, (first, second) = lab.gelda_in_shards(2)
    effects = Effects(counts={"generated": 1}, summary={"seen": 1})
    overlap(
        lab,
        lambda tx: tx.tasks.succeed(first.lease, effects),
        lambda: lab.succeed(second, effects),
    )
    assert lab.claimed().stage == "evaluate"
    assert lab.claim() is None
    assert lab.see(job.id).counts == {"generated": 2}


def test_a_cancel_that_meets_the_end_of_a_job_leaves_one_of_them(lab: Any) -> None:
    job = lab.job("ingest")
    claim = lab.claimed()
    effects = Effects(artifacts=(FILE,))
    canceled = overlap(
        lab, lambda tx: tx.tasks.succeed(claim.lease, effects), lambda: lab.cancel(job.id)
    )
    assert canceled.state is JobState.SUCCEEDED
    assert lab.events(job.id)[-1] == "job.succeeded"


def test_an_end_that_meets_a_cancel_leaves_one_of_them(lab: Any) -> None:
    job = lab.job("ingest")
    claim = lab.claimed()
    overlap(
        lab,
        lambda tx: tx.jobs.request_cancel(lab.tenant, job.id),
        lambda: lab.succeed(claim, Effects(artifacts=(FILE,))),
    )
    assert lab.see(job.id).state is JobState.CANCELED
    with lab.store.read() as tx:
        assert tx.artifacts.list(lab.tenant, job.id) == []


def test_a_renewal_that_meets_the_rescue_of_its_task_is_refused(lab: Any) -> None:
    lab.job("ingest")
    claim = lab.claimed(seconds=-1)

    def renew() -> bool:
        with suppress(LeaseLost), lab.store.write() as tx:
            tx.tasks.renew(claim.lease, 30)
            return True
        return False

    assert not overlap(lab, lambda tx: tx.tasks.expire_leases(3), renew)


def test_a_rescue_that_meets_a_renewal_leaves_the_task_alone(lab: Any) -> None:
    lab.job("ingest")
    claim = lab.claimed(seconds=-1)

    def rescue() -> int:
        with lab.store.write() as tx:
            found: int = tx.tasks.expire_leases(3)
        return found

    assert overlap(lab, lambda tx: tx.tasks.renew(claim.lease, 30), rescue) == 0
    assert lab.succeed(claim)


def test_one_of_two_ends_of_a_task_wins(lab: Any) -> None:
    for _ in range(5):
        job = lab.job("ingest")
        claim = lab.claimed()
        start = threading.Barrier(3)

        def end(how: str, claim: Any = claim, start: Any = start, job: Any = job) -> str | None:
            start.wait()
            with suppress(LeaseLost), lab.store.write() as tx:
                if how == "succeed" and tx.tasks.succeed(claim.lease, Effects((), (), (FILE,))):
                    return how
                if how == "fail":
                    tx.tasks.fail(claim.lease, JobFailure("no"))
                    return how
                if how == "cancel":
                    tx.jobs.request_cancel(lab.tenant, job.id)
            return None

        with ThreadPoolExecutor(3) as threads:
            winners = [w for w in threads.map(end, ["succeed", "fail", "cancel"]) if w]
        state = lab.see(job.id).state
        ends = [type_ for type_ in lab.events(job.id) if type_.removeprefix("job.") == state]
        with lab.store.read() as tx:
            published = bool(tx.artifacts.list(lab.tenant, job.id))
        assert len(ends) == 1
        assert published is (state is JobState.SUCCEEDED)
        assert len(winners) <= 2


def test_a_failure_cancels_what_the_job_still_had_and_fences_its_workers(lab: Any) -> None:
    job, shards = lab.gelda_in_shards(3)
    with lab.store.write() as tx:
        tx.tasks.fail(shards[0].lease, JobFailure("broken", code="internal_error"))
    failed = lab.see(job.id)
    assert failed.state is JobState.FAILED
    assert (failed.error["code"], failed.error["detail"]) == ("internal_error", "broken")
    assert lab.claim() is None
    with pytest.raises(LeaseLost):
        lab.succeed(shards[1])


def test_a_job_waits_for_its_inputs_and_starts_with_the_last_of_them(lab: Any) -> None:
    first, second = lab.job("ingest"), lab.job("ingest")
    waiting = lab.job("gelda", inputs=(first.id, second.id))
    assert waiting.blocked_by == (first.id, second.id)
    assert lab.claim("gpu") is None
    lab.succeed(lab.claimed())
    assert lab.see(waiting.id).blocked_by == (second.id,)
    assert lab.see(waiting.id).version > waiting.version
    claim = lab.claimed()
    with lab.store.write() as tx:
        tx.tasks.succeed(claim.lease, Effects())
        assert tx.queued == {"gpu": 1}
    assert lab.see(waiting.id).blocked_by == ()
    assert lab.claimed("gpu").job_id == waiting.id


def test_a_job_on_a_finished_input_is_not_blocked(lab: Any) -> None:
    first = lab.job("ingest")
    lab.succeed(lab.claimed())
    assert lab.job("gelda", inputs=(first.id,)).blocked_by == ()
    assert lab.claim() is not None


def test_two_inputs_that_end_at_once_start_their_dependent_once(lab: Any) -> None:
    inputs = [lab.job("ingest") for _ in range(2)]
    waiting = lab.job("gelda", inputs=tuple(job.id for job in inputs))
    first, second = (lab.claimed("cpu") for _ in inputs)
    overlap(lab, lambda tx: tx.tasks.succeed(first.lease, Effects()), lambda: lab.succeed(second))
    assert lab.claimed("gpu").job_id == waiting.id


def test_a_job_made_while_its_input_ends_is_not_left_waiting(lab: Any) -> None:
    first, dataset = lab.job("ingest"), lab.dataset()
    claim = lab.claimed("cpu")
    made = overlap(
        lab,
        lambda tx: tx.tasks.succeed(claim.lease, Effects()),
        lambda: lab.job("gelda", inputs=(first.id,), spec={"dataset": dataset}),
    )
    assert lab.claimed("gpu").job_id == made.id


def test_an_input_that_ends_while_a_job_on_it_is_made_starts_it(lab: Any) -> None:
    first, dataset = lab.job("ingest"), lab.dataset()
    claim = lab.claimed("cpu")
    new = NewJob(lab.tenant, "gelda", {"dataset": dataset}, seed=1, inputs=(first.id,))
    overlap(lab, lambda tx: tx.jobs.create(new), lambda: lab.succeed(claim))
    assert lab.claimed("gpu").kind == "gelda"


def test_failure_reaches_everything_downstream(lab: Any) -> None:
    first = lab.job("ingest")
    left, right = (lab.job("gelda", inputs=(first.id,)) for _ in range(2))
    end = lab.job("classifier", inputs=(left.id, right.id))
    beside = lab.job("gelda")
    with lab.store.write() as tx:
        why = JobFailure("Row 118 has NaN.", code="non_finite_values")
        tx.tasks.fail(tx.tasks.claim(("cpu",), "w", 30).lease, why)
    for job in (left, right, end):
        seen = lab.see(job.id)
        assert (seen.state, seen.error["code"]) == (JobState.FAILED, "input_failed")
        assert seen.error["detail"] == (
            f"An input of this job did not succeed: job {first.id} ended as failed, "
            "non_finite_values: Row 118 has NaN."
        )
        assert lab.events(job.id).count("job.failed") == 1
    assert lab.claimed().job_id == beside.id
    assert lab.claim() is None


def test_a_long_chain_fails_as_a_whole(lab: Any) -> None:
    dataset = lab.dataset()
    chain = [lab.job("ingest")]
    for _ in range(60):
        chain.append(lab.job("gelda", inputs=(chain[-1].id,), spec={"dataset": dataset}))
    with lab.store.write() as tx:
        tx.jobs.request_cancel(lab.tenant, chain[0].id)
    assert lab.see(chain[-1].id).error["code"] == "input_failed"


def test_a_job_on_a_failed_input_fails_at_once(lab: Any) -> None:
    first = lab.job("ingest")
    with lab.store.write() as tx:
        tx.jobs.request_cancel(lab.tenant, first.id)
    late = lab.job("gelda", inputs=(first.id,))
    assert (late.state, late.error["code"]) == (JobState.FAILED, "input_failed")
    assert late.error["detail"].endswith(f"job {first.id} ended as canceled.")
    assert lab.claim() is None


def test_items_that_failed_make_a_partial_success(lab: Any) -> None:
    job = lab.job("ingest")
    lab.succeed(lab.claimed(), Effects(counts={"failed": 2}))
    assert lab.see(job.id).state is JobState.PARTIALLY_SUCCEEDED


def test_an_input_of_another_tenant_is_not_found(store: Store, lab: Any) -> None:
    first = lab.job("ingest")
    with store.write() as tx:
        other = tx.tenants.create("other").id
    with pytest.raises(NotFound):
        lab.job("ingest", tenant=other, inputs=(first.id,))


def test_a_job_that_is_withheld_ends_with_its_report_and_runs_no_further_stage(lab: Any) -> None:
    job, _ = lab.gelda_in_shards(0)
    evaluate = lab.claimed()
    assert lab.succeed(evaluate, Effects(artifacts=(FILE,), withheld="It gains too little."))
    ended = lab.see(job.id)
    assert (ended.state, ended.error["code"]) == (JobState.FAILED, "not_released")
    assert ended.ended_at is not None
    assert lab.events(job.id)[-1] == "job.failed"
    assert lab.claim() is None
    with lab.store.read() as tx:
        assert len(tx.artifacts.list(lab.tenant, job.id)) == 1
    # A second word about the same task comes too late.
    with pytest.raises(LeaseLost):
        lab.succeed(evaluate, Effects(generator=MODEL))


def test_a_cancel_before_it_is_withheld_wins(lab: Any) -> None:
    job, _ = lab.gelda_in_shards(0)
    evaluate = lab.claimed()
    lab.cancel(job.id)
    assert not lab.succeed(evaluate, Effects(artifacts=(FILE,), withheld="No."))
    assert lab.see(job.id).state is JobState.CANCELED
