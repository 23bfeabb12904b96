"""`/v1/artifacts`, and what a job's outputs are reached by: files, a zip of them, the report."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from app.api.callers import ArtifactReader
from app.api.context import Caller
from app.api.downloads import Asked, Download, blob_response, zip_response
from app.api.openapi import Responses, content, headers, problems
from app.api.route import ApiRoute
from app.api.schemas.artifact import ArtifactView
from app.api.schemas.base import Page
from app.domain.jobs import SUCCESSFUL
from app.domain.problems import NotFound
from app.domain.records import Artifact

router = APIRouter(prefix="/v1", tags=["artifacts"], route_class=ApiRoute)

_BINARY = {"type": "string", "format": "binary"}
_ANYTHING = {"*/*": {"description": "The bytes of the file, of the media type that it has."}}
_TOLD = headers(ETag="The file's sha-256.", Repr_Digest="sha-256 of the whole file (RFC 9530).")
_ZIP: Responses = {200: content({"application/zip": _BINARY}, "All files.")}


def file_responses(
    media: dict[str, dict[str, Any]] | None = None, whole: str = "The file."
) -> Responses:
    """Return the `responses` of a route that ends in `blob_response`.

    Args:
        media: schemas by media type or range; by default any, as the file's own media type is told.
        whole: what an answer of 200 is.
    """
    media = media or _ANYTHING
    return {
        200: content(media, whole) | {"headers": _TOLD},
        206: content(media, "The range of it.") | {"headers": _TOLD},
        302: {"description": "Where the object store hands it out."},
        304: {"description": "It is as `If-None-Match` knows it."},
    } | problems(404, 416)


IMAGE: dict[str, dict[str, Any]] = {"image/*": _BINARY}
_REPORT = file_responses(
    {"application/json": {"type": "object"}, "text/html": {"type": "string"}},
    "The report: JSON, or with `Accept: text/html` a page that needs nothing else.",
)
# A report is our own page, but its words (names of classes) are the caller's.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@router.get("/artifacts/{artifact_id}", responses=problems(404))
def get_artifact(artifact_id: str, caller: ArtifactReader) -> ArtifactView:
    """Show an artifact."""
    return ArtifactView.model_validate(_find(caller, artifact_id))


@router.get("/artifacts/{artifact_id}/content", response_class=Response, responses=file_responses())
def get_artifact_content(artifact_id: str, asked: Asked, caller: ArtifactReader) -> Response:
    """Download an artifact, or one `Range` of it."""
    return blob_response(asked, caller, _download(_find(caller, artifact_id)))


@router.head("/artifacts/{artifact_id}/content", include_in_schema=False)
def head_artifact_content(artifact_id: str, asked: Asked, caller: ArtifactReader) -> Response:
    return blob_response(asked, caller, _download(_find(caller, artifact_id)))


@router.get("/jobs/{job_id}/artifacts", responses=problems(404))
def list_job_artifacts(job_id: str, caller: ArtifactReader) -> Page[ArtifactView]:
    """List what a job has made."""
    found = [ArtifactView.model_validate(one) for one in _of_job(caller, job_id)]
    return Page[ArtifactView](data=found)


@router.get(
    "/jobs/{job_id}/artifacts.zip",
    response_class=Response,
    responses=_ZIP | problems(404),
)
def download_job_artifacts(job_id: str, caller: ArtifactReader) -> Response:
    """Download all outputs of a job as one zip."""
    artifacts = _of_job(caller, job_id)
    if not artifacts:
        raise NotFound("artifact")
    return zip_response(caller, f"{job_id}.zip", artifacts)


@router.get(
    "/jobs/{job_id}/report",
    response_class=Response,
    responses=_REPORT,
)
def get_job_report(
    job_id: str,
    asked: Asked,
    caller: ArtifactReader,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> Response:
    """Show by how much the augmentation helps, verdict first."""
    found = {artifact.name: artifact for artifact in _of_job(caller, job_id)}
    # Not every kind of job makes a page; a browser shows the data as well.
    page = found.get("report.html") if "text/html" in accept.lower() else None
    report = page or found.get("report.json")
    if report is None:
        raise NotFound("report", because=_why_no_report(caller, job_id))
    response = blob_response(asked, caller, _download(report))
    response.headers["Content-Security-Policy"] = _REPORT_POLICY
    response.headers["Content-Disposition"] = "inline"
    response.headers["Vary"] = "Accept"  # one address, two forms that are kept for long
    return response


def _why_no_report(caller: Caller, job_id: str) -> str:
    with caller.store.read() as tx:
        job = tx.jobs.get(caller.tenant_id, job_id)
    if job is None or job.state not in SUCCESSFUL:
        return f"the job is {job.state if job else 'gone'}"
    if job.evaluate is not None and not job.evaluate.get("enabled", True):
        return "the job ran with evaluate switched off"
    return f"a job of kind {job.kind} measures nothing"


def _find(caller: Caller, artifact_id: str) -> Artifact:
    with caller.store.read() as tx:
        artifact = tx.artifacts.get(caller.tenant_id, artifact_id)
    if artifact is None:
        raise NotFound("artifact")
    return artifact


def _of_job(caller: Caller, job_id: str) -> list[Artifact]:
    with caller.store.read() as tx:
        if tx.jobs.get(caller.tenant_id, job_id) is None:
            raise NotFound("job")
        return tx.artifacts.list(caller.tenant_id, job_id)


def _download(artifact: Artifact) -> Download:
    return Download(artifact.name, artifact.sha256, artifact.bytes, artifact.media_type)
