"""What derives from a job: the jobs whose specs name it, or something that it has made.

A dataset and the job that makes it are one thing here. Ids are long and random, so that a spec in whose text an
id stands names it.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Select, Table, Text, cast, func, or_, select

from app.domain.deletions import JobMade
from app.store.tables import artifacts, classifiers, datasets, generators, jobs, uploads
from app.store.work import Work, in_statements

_NAMES_AT_ONCE = 50
_UPLOAD = re.compile(r"up_[0-9a-f]{32}")


def derived_from(work: Work, tenant_id: str, root: JobMade, *, levels: int) -> list[JobMade]:
    """Return the jobs that derive from ``root``: over one level those whose own specs name it, and so on."""
    found, latest = {root.id: root}, [root]
    for _ in range(levels):
        names = [name for one in latest for name in one.names]
        ids = sorted({*_naming(work, tenant_id, names)} - found.keys())
        latest = jobs_made(work, tenant_id, ids)
        if not latest:
            break
        found |= {one.id: one for one in latest}
    del found[root.id]
    return [found[job_id] for job_id in sorted(found)]


def jobs_made(work: Work, tenant_id: str, ids: Sequence[str]) -> list[JobMade]:
    """Return those of these jobs that the tenant has, in the order of age."""
    made: list[JobMade] = []
    for some in in_statements(sorted(ids)):
        wanted = select(jobs.c.id, jobs.c.kind, jobs.c.state)
        wanted = wanted.where(jobs.c.tenant_id == tenant_id, jobs.c.id.in_(some))
        made_datasets = _ids_by_job(work, datasets, some)
        made_generators = _ids_by_job(work, generators, some)
        made_classifiers = _ids_by_job(work, classifiers, some)
        counted = select(artifacts.c.job_id, func.count().label("files"))
        counted = counted.where(artifacts.c.job_id.in_(some)).group_by(artifacts.c.job_id)
        files = {row["job_id"]: row["files"] for row in work.rows(counted)}
        made += [
            JobMade(
                row["id"],
                row["kind"],
                row["state"],
                dataset=made_datasets.get(row["id"]),
                generator=made_generators.get(row["id"]),
                classifier=made_classifiers.get(row["id"]),
                artifacts=files.get(row["id"], 0),
            )
            for row in work.rows(wanted.order_by(jobs.c.id))
        ]
    return made


def own_uploads(work: Work, tenant_id: str, ids: Collection[str]) -> list[str]:
    """Return the tenant's uploads that these jobs name and no other job of the tenant does."""
    named: set[str] = set()
    for some in in_statements(sorted(ids)):
        specs = select(cast(jobs.c.spec, Text).label("spec")).where(jobs.c.id.in_(some))
        named.update(one for row in work.rows(specs) for one in _UPLOAD.findall(row["spec"]))
    own: list[str] = []
    for some in in_statements(sorted(named)):
        there = select(uploads.c.id).where(uploads.c.tenant_id == tenant_id, uploads.c.id.in_(some))
        own += [row["id"] for row in work.rows(there.order_by(uploads.c.id))]
    elsewhere = {
        name
        for some in _pieces(own)
        for row in work.rows(_specs_with(tenant_id, some))
        if row["id"] not in ids
        for name in _UPLOAD.findall(row["spec"])
    }
    return [name for name in own if name not in elsewhere]


def unfinished_readers(work: Work, tenant_id: str, name: str, ended: Collection[str]) -> list[str]:
    """Return the jobs in no state of ``ended`` whose specs name this id."""
    naming = _specs_with(tenant_id, [name]).where(jobs.c.state.not_in(ended))
    return [row["id"] for row in work.rows(naming.order_by(jobs.c.id))]


def _ids_by_job(work: Work, table: Table, job_ids: Sequence[str]) -> dict[str, str]:
    theirs = select(table.c.job_id, table.c.id).where(table.c.job_id.in_(job_ids))
    return {row["job_id"]: row["id"] for row in work.rows(theirs)}


def _naming(work: Work, tenant_id: str, names: Sequence[str]) -> Iterator[str]:
    for some in _pieces(names):
        for row in work.rows(_specs_with(tenant_id, some)):
            yield row["id"]


def _specs_with(tenant_id: str, names: Sequence[str]) -> Select[Any]:
    spec = cast(jobs.c.spec, Text)
    naming = or_(*(spec.contains(name, autoescape=True) for name in names))
    return select(jobs.c.id, spec.label("spec")).where(jobs.c.tenant_id == tenant_id, naming)


def _pieces(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _NAMES_AT_ONCE):
        yield names[start : start + _NAMES_AT_ONCE]
