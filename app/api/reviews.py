"""`/v1/jobs/{id}/reviews`, `/items` and `/resume`: a job that waits for a person."""

import mimetypes
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from app.api.artifacts import IMAGE, file_responses
from app.api.callers import ArtifactReader, JobReader, JobWriter
from app.api.context import Caller
from app.api.downloads import Asked, Download, blob_response
from app.api.idempotency import Answer, IdempotencyKey, once
from app.api.openapi import problems
from app.api.paging import Limit
from app.api.route import ApiRoute
from app.api.schemas.base import Page
from app.api.schemas.job import JobView
from app.api.schemas.review import ItemView, ReviewRequest, ReviewView
from app.api.submitting import ring
from app.domain.jobs import Job
from app.domain.problems import Invalid, NotFound
from app.store.database import Transaction
from models.alia import descriptions
from models.errors import InputProblem

router = APIRouter(prefix="/v1/jobs", tags=["reviews"], route_class=ApiRoute)

_LARGEST_NUMBER = (1 << 31) - 1


@router.get("/{job_id}/reviews", responses=problems(404))
def get_job_reviews(job_id: str, caller: JobReader) -> ReviewView:
    """Show what a person has said of a job so far."""
    with caller.store.read() as tx:
        return _said(tx, caller, _job(tx, caller, job_id))


@router.post("/{job_id}/reviews", responses=problems(404, 409))
def review_job(job_id: str, body: ReviewRequest, caller: JobWriter) -> ReviewView:
    """Say what a job that waits is to go on with; it can be said anew until the job is resumed."""
    with caller.store.write() as tx:
        job = _job(tx, caller, job_id)
        if body.descriptions is not None:
            tx.reviews.describe(caller.tenant_id, job_id, body.descriptions)
            _check(tx, caller, job, body.descriptions)
        else:
            tx.reviews.judge(caller.tenant_id, job_id, accept=body.accept, reject=body.reject)
        return _said(tx, caller, job)


@router.post(
    "/{job_id}/resume", status_code=202, response_model=JobView, responses=problems(404, 409)
)
def resume_job(job_id: str, caller: JobWriter, key: IdempotencyKey = None) -> Response:
    """Let a job that waits for a person go on; one that has gone on stays as it is."""
    with caller.store.write() as tx:

        def make() -> Answer:
            tx.reviews.resume(caller.tenant_id, job_id)
            job = _job(tx, caller, job_id)
            return Answer(202, JobView.model_validate(job).model_dump_json())

        answer = once(tx, caller, key, None, make)
    ring(caller, tx)
    return answer.response()


@router.get("/{job_id}/items", responses=problems(404))
def list_job_items(
    job_id: str,
    caller: ArtifactReader,
    *,
    limit: Limit = 20,
    after: Annotated[
        int, Query(ge=0, le=_LARGEST_NUMBER, description="The `next_after` of the page before.")
    ] = 0,
) -> Page[ItemView]:
    """List what a job shows a person, in the order in which it was made."""
    with caller.store.read() as tx:
        _job(tx, caller, job_id)
        items, more = tx.reviews.page(caller.tenant_id, job_id, limit=limit, after=after)
    following = str(items[-1].number) if more else None
    shown = [ItemView.of(item) for item in items]
    return Page[ItemView](data=shown, has_more=more, next_after=following)


@router.get(
    "/{job_id}/items/{item_id}/{side}", response_class=Response, responses=file_responses(IMAGE)
)
def get_job_item_image(
    job_id: str,
    item_id: str,
    side: Literal["before", "after"],
    asked: Asked,
    caller: ArtifactReader,
) -> Response:
    """Download the image of an item, or the one that it was made from."""
    with caller.store.read() as tx:
        found = tx.reviews.get(caller.tenant_id, job_id, item_id)
    if found is None:
        raise NotFound("item")
    picture = found.item.before if side == "before" else found.item.after
    if picture is None:
        raise NotFound("image", because="the item was made without a source")
    media_type = found.item.media_type
    name = f"{item_id}-{side}{mimetypes.guess_extension(media_type) or ''}"
    return blob_response(asked, caller, Download(name, picture.sha256, picture.bytes, media_type))


def _job(tx: Transaction, caller: Caller, job_id: str) -> Job:
    job = tx.jobs.get(caller.tenant_id, job_id)
    if job is None:
        raise NotFound("job")
    return job


def _said(tx: Transaction, caller: Caller, job: Job) -> ReviewView:
    return ReviewView(awaiting=job.awaiting, **tx.reviews.said(caller.tenant_id, job.id))


def _check(tx: Transaction, caller: Caller, job: Job, given: tuple[str, ...]) -> None:
    """Refuse descriptions that images cannot be edited into, such as one with a class in it."""
    dataset = tx.datasets.get(caller.tenant_id, job.spec["dataset"])
    classes: list[Any] = (dataset.manifest or {}).get("classes", []) if dataset else []
    prefix = job.spec["summarise"]["prefix"]
    try:
        descriptions.check(given, classes, "descriptions", prefix)
    except InputProblem as problem:
        raise Invalid(problem.detail, code=problem.code, param=problem.param) from problem
