"""Deleting jobs and datasets: first a plan that says all that goes, then the rows, in one transaction.

While it lasts, nothing of the tenant's can be made that names anything (`Tenants.alone`), so that what the
plan found is all there is. Blobs are left to `app.store.garbage`.
"""

from collections.abc import Sequence

from sqlalchemy import delete, or_, select

from app.domain.deletions import Deletion, JobMade
from app.domain.jobs import TERMINAL
from app.domain.problems import Conflict, NotFound
from app.store.derivation import derived_from, jobs_made, own_uploads, unfinished_readers
from app.store.references import references
from app.store.review_items import review_items
from app.store.tables import (
    artifacts,
    classifiers,
    datasets,
    events,
    generators,
    job_inputs,
    job_labels,
    jobs,
    tasks,
    upload_parts,
    uploads,
)
from app.store.work import Work, in_statements

_NAMED = 20
_EVERY_LEVEL = 10_000
_OF_A_JOB = (
    review_items,
    events,
    job_labels,
    artifacts,
    generators,
    classifiers,
    tasks,
    datasets,
)


class Deletions:
    def __init__(self, work: Work) -> None:
        self._work = work

    def of_job(self, tenant_id: str, job_id: str, cascade: bool | None) -> Deletion:
        """Plan to delete a job and what it has made.

        Args:
            tenant_id: whose it is.
            job_id: which one.
            cascade: whether what derives from it goes along, or stays; None refuses where there is any.

        Raises:
            NotFound: the tenant has no such job.
        """
        found = jobs_made(self._work, tenant_id, [job_id])
        if not found:
            raise NotFound("job")
        return self._plan(tenant_id, found[0], cascade)

    def of_dataset(self, tenant_id: str, dataset_id: str, cascade: bool | None) -> Deletion:
        """Plan to delete a dataset and the job that makes it, as `of_job` does."""
        mine = (datasets.c.tenant_id == tenant_id, datasets.c.id == dataset_id)
        job_id = self._work.scalar(select(datasets.c.job_id).where(*mine))
        if job_id is None:
            raise NotFound("dataset")
        return self.of_job(tenant_id, job_id, cascade)

    def freed(self, plan: Deletion) -> tuple[int, int]:
        """Return how many blobs, of how many bytes, nothing would name any more; checkpoints count 0."""
        going = {*plan.uploads, *(job.id for job in plan.jobs)}
        sizes: dict[str, int] = {}
        staying: set[str] = set()
        for one in references(self._work, plan.tenant_id):
            if one.owner in going:
                sizes[one.sha256] = max(sizes.get(one.sha256, 0), one.bytes or 0)
            else:
                staying.add(one.sha256)
        freed = [size for sha256, size in sizes.items() if sha256 not in staying]
        return len(freed), sum(freed)

    def carry_out(self, plan: Deletion) -> None:
        """Delete the rows of a plan that was made in this transaction, under `Tenants.alone`.

        Raises:
            Conflict: the plan's refusal.
        """
        if plan.refusal is not None:
            raise plan.refusal
        for ids in in_statements(sorted(job.id for job in plan.jobs)):
            # A worker that lost its task looks at its job once more: it sees it whole, or not at all.
            self._work.rows(select(jobs.c.id).where(jobs.c.id.in_(ids)).with_for_update())
            for table in _OF_A_JOB:
                self._work.run(delete(table).where(table.c.job_id.in_(ids)))
            # What stays and has had one of these for an input has got all it waited for.
            either = or_(job_inputs.c.job_id.in_(ids), job_inputs.c.input_id.in_(ids))
            self._work.run(delete(job_inputs).where(either))
        for ids in in_statements([job.id for job in plan.jobs]):
            self._work.run(delete(jobs).where(jobs.c.id.in_(ids)))
        for ids in in_statements(plan.uploads):
            self._work.run(delete(upload_parts).where(upload_parts.c.upload_id.in_(ids)))
            self._work.run(delete(uploads).where(uploads.c.id.in_(ids)))

    def refuse_upload_in_use(self, tenant_id: str, upload_id: str) -> None:
        """Raise Conflict where jobs that have not ended read an upload."""
        readers = unfinished_readers(self._work, tenant_id, upload_id, TERMINAL)
        if readers:
            raise _in_use(readers)

    def _plan(self, tenant_id: str, root: JobMade, cascade: bool | None) -> Deletion:
        derived = derived_from(self._work, tenant_id, root, levels=_EVERY_LEVEL)
        going = [root, *derived] if cascade else [root]
        return Deletion(
            tenant_id,
            jobs=tuple(going),
            derived=() if cascade else tuple(derived),
            uploads=tuple(own_uploads(self._work, tenant_id, {job.id for job in going})),
            refusal=self._refusal(tenant_id, root, derived, cascade),
        )

    def _refusal(
        self, tenant_id: str, root: JobMade, derived: Sequence[JobMade], cascade: bool | None
    ) -> Conflict | None:
        if root.state not in TERMINAL:
            return Conflict(
                f"The job {root.id} ({root.kind}) is {root.state}; cancel it first.",
                code="job_not_ended",
            )
        # Of what stays, that which names it reads it; what names only what stays does not.
        readers = derived
        if cascade is False:
            readers = derived_from(self._work, tenant_id, root, levels=1)
        running = [job.id for job in readers if job.state not in TERMINAL]
        if running:
            return _in_use(running)
        if derived and cascade is None:
            return Conflict(
                f"{_jobs(derived)} from it: {_named([job.id for job in derived])}. Say cascade=true to"
                " delete what derives from it too, or cascade=false to keep that.",
                code="has_derivations",
                param="cascade",
            )
        return None


def _jobs(derived: Sequence[JobMade]) -> str:
    return "1 job derives" if len(derived) == 1 else f"{len(derived)} jobs derive"


def _in_use(readers: Sequence[str]) -> Conflict:
    many = "1 job that has" if len(readers) == 1 else f"{len(readers)} jobs that have"
    reads = "reads" if len(readers) == 1 else "read"
    return Conflict(
        f"{many} not ended {reads} it: {_named(readers)}. Wait, or cancel first.", code="in_use"
    )


def _named(ids: Sequence[str]) -> str:
    more = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")
