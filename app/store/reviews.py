"""A job that waits for a person: what it shows, what is said, and how it goes on."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update

from app.domain.jobs import TERMINAL, JobState
from app.domain.problems import Conflict, Invalid, NotFound
from app.domain.reviews import Awaited, ReviewItem, ShownItem, Verdict, nothing_said
from app.store.endings import LockedJob, go_on, lock_job, move
from app.store.events import Events
from app.store.review_items import of_job, review_items, row_of, shown
from app.store.tables import jobs
from app.store.work import Work, in_statements


class Reviews:
    def __init__(self, work: Work) -> None:
        self._work = work

    def add(self, job_id: str, items: Sequence[ReviewItem]) -> None:
        """Make rows of items, behind those that the job shows already. The job's row is locked."""
        if not items:
            return
        already = select(func.count()).select_from(review_items).where(of_job(job_id))
        number = int(self._work.scalar(already))
        for some in in_statements(items):
            rows = [row_of(job_id, number + place, item) for place, item in enumerate(some, 1)]
            self._work.run(insert(review_items).values(rows))
            number += len(rows)

    def page(
        self, tenant_id: str, job_id: str, *, limit: int, after: int = 0
    ) -> tuple[list[ShownItem], bool]:
        """Return up to ``limit`` items numbered above ``after``, in their order, and whether more follow."""
        query = select(review_items).join(jobs, jobs.c.id == review_items.c.job_id)
        query = query.where(jobs.c.tenant_id == tenant_id, of_job(job_id))
        query = query.where(review_items.c.number > after).order_by(review_items.c.number)
        found = [shown(row) for row in self._work.rows(query.limit(limit + 1))]
        return found[:limit], len(found) > limit

    def get(self, tenant_id: str, job_id: str, item_id: str) -> ShownItem | None:
        query = select(review_items).join(jobs, jobs.c.id == review_items.c.job_id)
        mine = (jobs.c.tenant_id == tenant_id, of_job(job_id), review_items.c.id == item_id)
        row = self._work.row(query.where(*mine))
        return shown(row) if row else None

    def said(self, tenant_id: str, job_id: str) -> dict[str, Any]:
        """Return what a person has said of a job so far.

        Raises:
            NotFound: the tenant has no such job.
        """
        mine = (jobs.c.tenant_id == tenant_id, jobs.c.id == job_id)
        row = self._work.row(select(jobs.c.id, jobs.c.review).where(*mine))
        if row is None:
            raise NotFound("job")
        return self.of(row)

    def of(self, job: RowMapping) -> dict[str, Any]:
        """Return what a person has said so far of the job that has this row."""
        review = nothing_said()
        if job["review"] is None:
            return review
        review["descriptions"] = job["review"].get("descriptions")
        judged = select(review_items.c.id, review_items.c.verdict).where(
            of_job(job["id"]), review_items.c.verdict.is_not(None)
        )
        for row in self._work.rows(judged.order_by(review_items.c.number)):
            review[row["verdict"]].append(row["id"])
        return review

    def describe(self, tenant_id: str, job_id: str, descriptions: Sequence[str]) -> None:
        """Keep the descriptions that the job is to go on with.

        Raises:
            NotFound: the tenant has no such job.
            Conflict: ``not_awaiting_review``, where it awaits no descriptions.
        """
        job = self._awaiting(tenant_id, job_id, "descriptions")
        said = {**(job.row["review"] or {}), "descriptions": list(descriptions)}
        self._work.run(update(jobs).where(jobs.c.id == job_id).values(review=said))
        Events(self._work).append(job_id, "job.reviewed", {"descriptions": len(descriptions)})

    def judge(
        self, tenant_id: str, job_id: str, *, accept: Sequence[str], reject: Sequence[str]
    ) -> None:
        """Keep verdicts on items; the last one on an item holds.

        Raises:
            NotFound: the tenant has no such job.
            Conflict: ``not_awaiting_review``, where it awaits no verdicts on edits.
            Invalid: ``unknown_item``, where it shows no item of an id; nothing is kept then.
        """
        self._awaiting(tenant_id, job_id, "edits")
        given: tuple[tuple[str, Verdict, Sequence[str]], ...] = (
            ("accept", "accepted", accept),
            ("reject", "rejected", reject),
        )
        for param, verdict, ids in given:
            self._refuse_unknown(job_id, param, ids)
            for some in in_statements(ids):
                named = update(review_items).where(of_job(job_id), review_items.c.id.in_(some))
                self._work.run(named.values(verdict=verdict))
        told: dict[str, Any] = {verdict: len(set(ids)) for _, verdict, ids in given}
        Events(self._work).append(job_id, "job.reviewed", told)

    def resume(self, tenant_id: str, job_id: str) -> None:
        """Let a job that waits for a person go on; one that has been resumed stays as it is.

        Raises:
            NotFound: the tenant has no such job.
            Conflict: ``not_awaiting_review``, where it has never waited, or was ended while it did.
        """
        job = self._locked(tenant_id, job_id)
        if job.state is JobState.AWAITING_REVIEW:
            left = job.row["deadline_left"]
            until = None if left is None else self._work.now() + timedelta(seconds=left)
            resumed = {"awaiting": None, "deadline_left": None, "deadline_at": until}
            move(self._work, job, JobState.RUNNING, **resumed)
            go_on(self._work, job, after=-1)  # what is done is not blocked any more
            return
        ended_waiting = job.state in TERMINAL and job.row["awaiting"] is not None
        if job.row["review"] is None or ended_waiting:
            raise _not_awaiting(job, "nothing")

    def _awaiting(self, tenant_id: str, job_id: str, awaited: Awaited) -> LockedJob:
        job = self._locked(tenant_id, job_id)
        if job.state is not JobState.AWAITING_REVIEW:
            raise _not_awaiting(job, "nothing")
        if job.row["awaiting"] != awaited:
            raise _not_awaiting(job, job.row["awaiting"])
        return job

    def _locked(self, tenant_id: str, job_id: str) -> LockedJob:
        job = lock_job(self._work, job_id)
        if job is None or job.tenant_id != tenant_id:
            raise NotFound("job")
        return job

    def _refuse_unknown(self, job_id: str, param: str, ids: Sequence[str]) -> None:
        known: set[str] = set()
        for some in in_statements(ids):
            found = select(review_items.c.id).where(of_job(job_id), review_items.c.id.in_(some))
            known.update(row["id"] for row in self._work.rows(found))
        for place, item_id in enumerate(ids):
            if item_id not in known:
                raise Invalid(
                    f"The job shows no item {item_id!r}.",
                    code="unknown_item",
                    param=f"{param}.{place}",
                )


def ask_for_pause(work: Work, job: LockedJob, stage_index: int, awaited: Awaited) -> None:
    """Note that a job is to wait for a person once this stage has ended, whichever task of it is last."""
    if stage_index == len(job.pipeline) - 1:
        raise ValueError(f"behind {job.pipeline[stage_index].code} nothing is left to wait with")
    work.run(update(jobs).where(jobs.c.id == job.id).values(awaiting=awaited))


def pause_if_asked(work: Work, job: LockedJob) -> bool:
    """Let a job whose stage has ended wait for a person; False where none is asked for.

    The tasks to come stay blocked and nothing of the job is leased. What is left of its deadline is kept:
    how long a person takes is not the job's time.
    """
    awaited = work.scalar(select(jobs.c.awaiting).where(jobs.c.id == job.id))
    if awaited is None:
        return False
    deadline = job.row["deadline_at"]
    left = None if deadline is None else max(0.0, (deadline - work.now()).total_seconds())
    kept = {"deadline_left": left, "deadline_at": None, "review": job.row["review"] or {}}
    move(work, job, JobState.AWAITING_REVIEW, awaiting=awaited, **kept)
    return True


def _not_awaiting(job: LockedJob, awaited: str) -> Conflict:
    return Conflict(
        f"The job is {job.state} and waits for {awaited} to be reviewed.",
        code="not_awaiting_review",
    )
