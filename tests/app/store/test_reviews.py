"""Jobs that wait for a person: nothing runs meanwhile, what is said arrives, and time stands still."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.jobs import JobState
from app.domain.problems import Conflict, Invalid, NotFound
from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Claim, Effects, NewTask

SHA = "c" * 64
NOTHING: dict[str, Any] = {"descriptions": None, "accepted": [], "rejected": []}


def item(name: str, **fields: Any) -> ReviewItem:
    shown: dict[str, Any] = {
        "item_id": name,
        "label": "duck",
        "description": "a photo of a {} in the snow",
        "source": "7.png",
        "before": Picture("d" * 64, 5),
        "after": Picture(SHA, 9),
        "media_type": "image/png",
        "decision": "kept",
        "scores": {"semantic": 0.25},
    }
    return ReviewItem(**shown | fields)


def begin(lab: Any, **fields: Any) -> tuple[str, Claim]:
    """Make an `alia` job and claim its `summarise`."""
    job_id = lab.job("alia", spec={"dataset": lab.dataset()}, **fields).id
    lab.succeed(lab.claimed())
    return job_id, lab.claimed()


def awaiting_descriptions(lab: Any, **fields: Any) -> str:
    job_id, summarise = begin(lab, **fields)
    lab.succeed(summarise, Effects(pause="descriptions"))
    return job_id


def awaiting_edits(lab: Any, *items: ReviewItem) -> str:
    """Run an `alia` job up to where it shows these items and waits."""
    job_id, summarise = begin(lab)
    lab.succeed(summarise)
    for stage in ("plan", "choose"):
        claim = lab.claimed()
        assert claim.stage == stage
        lab.succeed(claim)
    lab.succeed(lab.claimed(), Effects(pause="edits", review=items))
    return job_id


def resume(lab: Any, job_id: str) -> dict[str, int]:
    """Resume a job and return which bells are to be rung."""
    with lab.store.write() as tx:
        tx.reviews.resume(lab.tenant, job_id)
        return dict(tx.queued)


def describe(lab: Any, job_id: str, *descriptions: str) -> None:
    with lab.store.write() as tx:
        tx.reviews.describe(lab.tenant, job_id, descriptions)


def judge(lab: Any, job_id: str, accept: Any = (), reject: Any = ()) -> None:
    with lab.store.write() as tx:
        tx.reviews.judge(lab.tenant, job_id, accept=accept, reject=reject)


def test_a_job_that_pauses_waits_with_its_next_stage(lab: Any) -> None:
    job_id, summarise = begin(lab)
    with lab.store.write() as tx:
        tx.tasks.succeed(summarise.lease, Effects(pause="descriptions"))
        assert tx.queued == {}
    job = lab.see(job_id)
    assert (job.state, job.awaiting) == (JobState.AWAITING_REVIEW, "descriptions")
    assert lab.claim() is None
    assert lab.events(job_id)[-2:] == ["job.step", "job.awaiting_review"]
    with lab.store.read() as tx:
        assert tx.events.page(lab.tenant, job_id, 0, 99)[0][-1].data == {"awaiting": "descriptions"}


def test_a_resumed_job_goes_on_with_the_stage_that_waited(lab: Any) -> None:
    job_id = awaiting_descriptions(lab)
    assert resume(lab, job_id) == {"gpu": 1}
    job = lab.see(job_id)
    assert (job.state, job.awaiting) == (JobState.RUNNING, None)
    plan = lab.claimed()
    assert (plan.stage, plan.review) == ("plan", NOTHING)
    lab.succeed(plan)
    assert lab.claimed().stage == "choose"  # it waits once


def test_what_a_person_said_reaches_every_later_task(lab: Any) -> None:
    job_id, summarise = begin(lab)
    assert summarise.review == NOTHING
    lab.succeed(summarise, Effects(pause="descriptions"))
    describe(lab, job_id, "a {} at night", "a {} in fog")
    describe(lab, job_id, "a {} in rain")
    resume(lab, job_id)
    said = {**NOTHING, "descriptions": ["a {} in rain"]}
    for stage in ("plan", "choose"):
        claim = lab.claimed()
        assert (claim.stage, claim.review) == (stage, said)
        lab.succeed(claim)
    lab.succeed(lab.claimed(), Effects(pause="edits", review=(item("a"), item("b"), item("c"))))
    judge(lab, job_id, accept=["a", "c"], reject=["b"])
    judge(lab, job_id, accept=["b"], reject=["c", "c"])
    resume(lab, job_id)
    assert lab.claimed().review == {**said, "accepted": ["a", "b"], "rejected": ["c"]}
    assert lab.events(job_id).count("job.reviewed") == 4


def test_a_stage_of_shards_pauses_once_with_what_all_of_them_show(lab: Any) -> None:
    job_id, summarise = begin(lab)
    lab.succeed(summarise)
    shards = tuple(NewTask("edit", number, {}) for number in range(2))
    lab.succeed(lab.claimed(), Effects(plan=shards))
    first, second = lab.claimed(), lab.claimed()
    lab.succeed(second, Effects(pause="edits", review=(item("b"),)))
    assert lab.see(job_id).state is JobState.RUNNING
    assert lab.see(job_id).awaiting is None
    lab.succeed(first, Effects(review=(item("a"),)))
    assert lab.see(job_id).awaiting == "edits"
    with lab.store.read() as tx:
        shown, more = tx.reviews.page(lab.tenant, job_id, limit=9)
    assert ([(one.number, one.item.item_id) for one in shown], more) == (
        [(1, "b"), (2, "a")],
        False,
    )


def test_items_are_kept_as_they_came_and_listed_in_pages(lab: Any) -> None:
    items = [item("a"), item("b", source=None, before=None), item("c", decision="semantic")]
    job_id = awaiting_edits(lab, *items)
    with lab.store.read() as tx:
        first, more = tx.reviews.page(lab.tenant, job_id, limit=2)
        assert more
        last, more = tx.reviews.page(lab.tenant, job_id, limit=2, after=first[-1].number)
        assert not more
        assert [one.item for one in first + last] == items
        assert {one.verdict for one in first + last} == {None}
        found = tx.reviews.get(lab.tenant, job_id, "c")
        assert found == last[0]
        assert tx.reviews.get(lab.tenant, job_id, "d") is None
        assert tx.blobs.stored_bytes(lab.tenant) == 9 + 5  # each image counts once


def test_more_items_than_one_statement_writes_are_kept(lab: Any) -> None:
    items = [item(f"i{number}", after=Picture(f"{number:064x}", 1)) for number in range(2500)]
    job_id = awaiting_edits(lab, *items)
    ids = [one.item_id for one in items]
    judge(lab, job_id, reject=ids)
    with lab.store.read() as tx:
        assert tx.reviews.said(lab.tenant, job_id)["rejected"] == ids
        assert tx.blobs.stored_bytes(lab.tenant) == 2500 + 5


def test_a_verdict_on_what_is_not_shown_is_refused_and_keeps_none(lab: Any) -> None:
    job_id = awaiting_edits(lab, item("a"))
    with pytest.raises(Invalid, match="no item 'x'") as caught:
        judge(lab, job_id, accept=["a"], reject=["a", "x"])
    assert (caught.value.code, caught.value.param) == ("unknown_item", "reject.1")
    with lab.store.read() as tx:
        assert tx.reviews.said(lab.tenant, job_id) == NOTHING


def test_what_is_not_awaited_is_refused(lab: Any) -> None:
    running, summarise = begin(lab)
    for act in (
        lambda: describe(lab, running, "a {} at night"),
        lambda: judge(lab, running, accept=["a"]),
        lambda: resume(lab, running),
    ):
        with pytest.raises(Conflict) as caught:
            act()
        assert caught.value.code == "not_awaiting_review"
    lab.succeed(summarise, Effects(pause="descriptions"))
    with pytest.raises(Conflict, match="waits for descriptions"):
        judge(lab, running, accept=["a"])


def test_a_second_resume_changes_nothing(lab: Any) -> None:
    job_id = awaiting_descriptions(lab)
    assert resume(lab, job_id)
    before = lab.see(job_id)
    assert resume(lab, job_id) == {}
    assert lab.see(job_id).version == before.version


def test_a_job_can_be_canceled_while_it_waits(lab: Any) -> None:
    job_id = awaiting_descriptions(lab)
    assert lab.cancel(job_id).state is JobState.CANCELED
    assert lab.see(job_id).awaiting is None
    with pytest.raises(Conflict, match="is canceled"):
        resume(lab, job_id)
    assert lab.claim() is None


def test_the_deadline_stands_still_while_a_person_is_awaited(lab: Any) -> None:
    job_id, summarise = begin(lab, deadline_seconds=300)
    deadline = lab.see(job_id).deadline_at
    lab.succeed(summarise, Effects(pause="descriptions"))
    assert lab.see(job_id).deadline_at is None
    time.sleep(0.5)
    resume(lab, job_id)
    assert (lab.see(job_id).deadline_at - deadline).total_seconds() >= 0.5
    assert 0 < lab.claimed().seconds_left < 300


def test_time_that_is_up_when_the_job_pauses_is_up_when_it_is_resumed(lab: Any) -> None:
    job_id, summarise = begin(lab, deadline_seconds=300)
    with lab.store.write() as tx:
        tx.connection.exec_driver_sql("UPDATE jobs SET deadline_at = created_at")
    lab.succeed(summarise, Effects(pause="descriptions"))
    with lab.store.write() as tx:
        assert tx.jobs.end_overdue(grace_seconds=0) == 0
    assert lab.see(job_id).state is JobState.AWAITING_REVIEW
    resume(lab, job_id)
    assert lab.claim() is None
    assert lab.see(job_id).error["code"] == "deadline_exceeded"


def test_a_job_that_has_waited_ends_like_any_other(lab: Any) -> None:
    job_id = awaiting_edits(lab)
    resume(lab, job_id)
    for stage in ("evaluate", "publish"):
        claim = lab.claimed()
        assert claim.stage == stage
        lab.succeed(claim)
    assert lab.see(job_id).state is JobState.SUCCEEDED


def test_the_last_stage_cannot_pause(lab: Any) -> None:
    lab.job("ingest")
    with pytest.raises(ValueError, match="nothing is left to wait with"):
        lab.succeed(lab.claimed(), Effects(pause="edits"))


def test_a_job_whose_results_are_withheld_does_not_pause(lab: Any) -> None:
    job_id, summarise = begin(lab)
    lab.succeed(summarise, Effects(pause="descriptions", withheld="It gains too little."))
    assert lab.see(job_id).state is JobState.FAILED


def test_another_tenant_sees_and_says_nothing(lab: Any) -> None:
    job_id = awaiting_edits(lab, item("a"))
    with lab.store.write() as tx:
        other = tx.tenants.create("other").id
    with lab.store.read() as tx:
        assert tx.reviews.page(other, job_id, limit=9) == ([], False)
        assert tx.reviews.get(other, job_id, "a") is None
        with pytest.raises(NotFound):
            tx.reviews.said(other, job_id)
    acts: list[Callable[[Any], None]] = [
        lambda tx: tx.reviews.describe(other, job_id, ["a {} at night"]),
        lambda tx: tx.reviews.judge(other, job_id, accept=["a"], reject=[]),
        lambda tx: tx.reviews.resume(other, job_id),
    ]
    for act in acts:
        with pytest.raises(NotFound), lab.store.write() as tx:
            act(tx)


def test_an_id_that_does_not_fit_into_a_path_is_refused() -> None:
    with pytest.raises(ValueError, match="no id of an item"):
        item("a/b")
