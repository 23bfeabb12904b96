"""`/v1/jobs`: ask for work, look at it, cancel it, repeat it, delete it."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.allowed_models import check_models
from app.api.callers import JobReader, JobWriter
from app.api.context import Caller
from app.api.deleting import DELETED, Cascade, DryRun, delete
from app.api.idempotency import Answer, IdempotencyKey, once
from app.api.job_filters import ids_of, metadata_of
from app.api.openapi import Responses, headers, problems
from app.api.paging import After, Limit, page
from app.api.planning import plan_of
from app.api.route import ApiRoute
from app.api.schemas.base import Moment, Page
from app.api.schemas.deletion import DeletionView
from app.api.schemas.job import JobRequest, JobView, ValidationView
from app.api.submitting import (
    RETRY_AFTER,
    Inputs,
    accept,
    again,
    evaluation,
    new_job,
    release_condition,
    ring,
    unfinished,
)
from app.api.waiting import ended, preferred_wait
from app.domain.deletions import Deletion
from app.domain.jobs import SUCCESSFUL, TERMINAL, Job, JobKind, JobState
from app.domain.problems import Conflict, NotFound
from app.domain.specs import IngestSpec, parse_spec
from app.store.database import Transaction

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=ApiRoute)

_ACCEPTED: Responses = {
    202: {"headers": headers(Location="The job.", Retry_After="Seconds until a look pays.")}
}
_ENDED: Responses = {
    200: {"model": JobView, "description": "`Prefer: wait` was given, and it has ended."}
}
_UNCHANGED: Responses = {304: {"description": "It is as `If-None-Match` knows it."}}


@router.post(
    "",
    status_code=202,
    response_model=JobView,
    responses=_ENDED | _ACCEPTED | problems(409, 413, 415),
)
async def create_job(
    body: JobRequest,
    caller: JobWriter,
    key: IdempotencyKey = None,
    prefer: Annotated[
        str | None, Header(description="`wait=N` holds the answer up to N ≤ 60 seconds.")
    ] = None,
) -> Response:
    """Ask for a job. What it names may be unfinished: it then waits, `blocked_by` that."""
    answer, job_id = await run_in_threadpool(_submit, caller, key, body)
    seconds = preferred_wait(prefer)
    if seconds is None:
        return answer.response()
    job = await ended(caller, job_id, seconds)
    response = _shown(job, 200 if job.state in TERMINAL else 202)
    response.headers.update(answer.headers)
    response.headers["Preference-Applied"] = f"wait={seconds}"
    return response


def _submit(caller: Caller, key: str | None, body: JobRequest) -> tuple[Answer, str]:
    check_models(caller.services.settings, body.spec)
    with caller.store.write() as tx:
        tx.tenants.naming(caller.tenant_id)

        def make() -> Answer:
            inputs = list(Inputs(tx, caller.tenant_id).of(body.spec))
            plan_of(tx, caller.tenant_id, body.spec)  # refuses what can be known to fail
            return _accepted(accept(tx, new_job(caller, body, inputs)))

        answer = once(tx, caller, key, body, make)
    ring(caller, tx)
    return answer, answer.headers["Location"].rpartition("/")[2]


def _accepted(job: Job) -> Answer:
    told = {"Location": f"/v1/jobs/{job.id}", "Retry-After": RETRY_AFTER}
    return Answer(202, JobView.model_validate(job).model_dump_json(), told)


@router.post("/validate", responses=problems(413, 415))
def validate_job(body: JobRequest, caller: JobReader) -> ValidationView:
    """Show what a job would be: the resolved spec, its inputs and its plan. Nothing is made."""
    check_models(caller.services.settings, body.spec)
    with caller.store.read() as tx:
        inputs = list(Inputs(tx, caller.tenant_id).of(body.spec))
        plan = plan_of(tx, caller.tenant_id, body.spec)
    return ValidationView(
        kind=body.spec.kind,
        spec=body.spec.model_dump(mode="json"),
        seed=body.seed,
        evaluate=evaluation(body),
        release_if=release_condition(body),
        deadline_seconds=body.deadline_seconds,
        metadata=dict(body.metadata),
        inputs=inputs,
        blocked_by=list(unfinished(inputs)),
        plan=plan,
    )


@router.get("")
def list_jobs(
    request: Request,
    caller: JobReader,
    *,
    ids: Annotated[
        str | None,
        Query(max_length=4000, description="Up to 100 ids, by commas: these jobs, unpaged."),
    ] = None,
    kind: Annotated[JobKind | None, Query(description="The job's `kind`.")] = None,
    status: Annotated[JobState | None, Query(description="The job's `state`.")] = None,
    created_after: Moment | None = None,
    limit: Limit = 20,
    after: After = None,
) -> Page[JobView]:
    """List jobs; `metadata.KEY=VALUE` in the query filters by a label."""
    with caller.store.read() as tx:
        if ids is not None:
            return page(JobView, tx.jobs.many(caller.tenant_id, ids_of(ids)), has_more=False)
        rows, has_more = tx.jobs.list(
            caller.tenant_id,
            limit=limit,
            after=after,
            kind=kind,
            state=status,
            metadata=metadata_of(request.query_params),
            created_after=created_after,
        )
    return page(JobView, rows, has_more)


@router.get("/{job_id}", response_model=JobView, responses=_UNCHANGED | problems(404))
def get_job(
    job_id: str,
    caller: JobReader,
    if_none_match: Annotated[str | None, Header(description="An `ETag` seen before.")] = None,
) -> Response:
    """Show a job; poll with `If-None-Match`, and wait `Retry-After` seconds in between."""
    job = find_job(caller, job_id)
    response = _shown(job, 200)
    if matches(if_none_match, response.headers["ETag"]):
        kept = {name: response.headers[name] for name in ("ETag",)}
        if "Retry-After" in response.headers:
            kept["Retry-After"] = response.headers["Retry-After"]
        return Response(status_code=304, headers=kept)
    return response


@router.delete("/{job_id}", response_model=DeletionView, responses=DELETED)
def delete_job(
    job_id: str,
    caller: JobWriter,
    *,
    dry_run: DryRun = False,
    cascade: Cascade = None,
    key: IdempotencyKey = None,
) -> Response:
    """Delete a job that has ended, with all that it has made: files, generator, classifier, dataset.

    Jobs whose specs name it, or something that it has made, derive from it. A repeat with the same
    `Idempotency-Key` gets the first answer; without, there is nothing of that id any more.
    """

    def plan(tx: Transaction) -> Deletion:
        return tx.deletions.of_job(caller.tenant_id, job_id, cascade)

    answer = delete(caller, key, job_id, plan, cascade=cascade, dry_run=dry_run)
    return answer.response()


@router.post("/{job_id}/cancel", responses=problems(404))
def cancel_job(job_id: str, caller: JobWriter) -> JobView:
    """Ask a job to stop; one that has ended stays as it is, and that is no error."""
    with caller.store.write() as tx:
        job = tx.jobs.request_cancel(caller.tenant_id, job_id)
    if job is None:
        raise NotFound("job")
    return JobView.model_validate(job)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    response_model=JobView,
    responses=_ACCEPTED | problems(404, 409),
)
def retry_job(job_id: str, caller: JobWriter, key: IdempotencyKey = None) -> Response:
    """Make a new job of the same spec and seed, which names this one in `retry_of`."""
    with caller.store.write() as tx:
        tx.tenants.naming(caller.tenant_id)

        def make() -> Answer:
            job = _retryable(tx, caller, job_id)
            spec = parse_spec(job.spec)
            assert not isinstance(spec, IngestSpec)  # refused by _retryable
            inputs = list(Inputs(tx, caller.tenant_id).of(spec))
            return _accepted(accept(tx, again(job, inputs)))

        answer = once(tx, caller, key, None, make)
    ring(caller, tx)
    return answer.response()


def find_job(caller: Caller, job_id: str) -> Job:
    """Return the tenant's job, or raise NotFound."""
    with caller.store.read() as tx:
        job = tx.jobs.get(caller.tenant_id, job_id)
    if job is None:
        raise NotFound("job")
    return job


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the header names this ETag (RFC 9110: compared weakly)."""
    if if_none_match is None:
        return False
    named = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in named or etag in named


def _shown(job: Job, status: int) -> Response:
    # These change without the job's own row, so they are part of the tag.
    outside = (job.queue_position, job.unserved_class)
    tag = ".".join(str(part) for part in (job.version, *outside) if part is not None)
    told = {"ETag": f'"{tag}"'}
    if job.state not in TERMINAL:
        told["Retry-After"] = RETRY_AFTER
    body = JobView.model_validate(job).model_dump_json()
    return Response(body, status, told, "application/json")


def _retryable(tx: Transaction, caller: Caller, job_id: str) -> Job:
    job = tx.jobs.get(caller.tenant_id, job_id)
    if job is None:
        raise NotFound("job")
    if job.state not in TERMINAL:
        raise Conflict("The job has not ended yet.", code="job_not_ended")
    if job.state in SUCCESSFUL and job.state is not JobState.PARTIALLY_SUCCEEDED:
        raise Conflict("The job has succeeded; there is nothing to repeat.", code="job_succeeded")
    if job.kind == "ingest":
        raise Conflict(
            "A dataset is made once; make another from the same uploads.", code="not_retryable"
        )
    return job
