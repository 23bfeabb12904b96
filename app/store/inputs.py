"""What the ids in a spec stand for, as a worker needs it."""

from typing import Any

from sqlalchemy import select

from app.domain.records import DatasetState, Model, UploadState
from app.store.artifacts import Artifacts
from app.store.datasets import Datasets
from app.store.generators import Generators
from app.store.tables import jobs
from app.store.uploads import Uploads
from app.store.work import Work


class InputMissing(Exception):
    """Something that a spec names has been deleted since, or never came to be."""


def resolve(work: Work, tenant_id: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return `Claim.inputs` of a job.

    Raises:
        InputMissing: with the noun that is missing.
    """
    match kind:
        case "ingest":
            return {"uploads": [_upload(work, tenant_id, named) for named in spec["uploads"]]}
        case "gelda":
            files = {
                name: _upload(work, tenant_id, upload_id)
                for name, upload_id in _gelda_uploads(spec).items()
            }
            return {"dataset": _manifest(work, tenant_id, spec["dataset"]), **files}
        case "alia":
            named = {name: spec.get(name) for name in ("dataset", "extra")}
            return {
                name: _manifest(work, tenant_id, one)
                for name, one in named.items()
                if one is not None
            }
        case "embed" | "glico":
            return {"dataset": _manifest(work, tenant_id, spec["dataset"])}
        case "sample":
            return {"generator": _generator(work, tenant_id, spec["generator"])}
        case "classifier":
            mixed = [_outputs(work, tenant_id, job_id) for job_id in spec.get("mix") or ()]
            head = _head(spec.get("head"))
            files = {name: _upload(work, tenant_id, named) for name, named in head.items()}
            return {"dataset": _manifest(work, tenant_id, spec["dataset"]), "mix": mixed, **files}
    return {}


def _gelda_uploads(spec: dict[str, Any]) -> dict[str, str]:
    """Return the uploads that a `gelda` spec names, by what a worker calls them."""
    sources = {"vectors": spec.get("classes"), "subdomain_vectors": spec.get("subdomains")}
    return {
        name: source["upload"]
        for name, source in sources.items()
        if source is not None and source["source"] == "upload"
    } | _head(spec.get("classifier"))


def _head(head: dict[str, Any] | None) -> dict[str, str]:
    initial = (head or {}).get("initial")
    return {} if initial is None else {"head": initial["upload"]}


def _upload(work: Work, tenant_id: str, upload_id: str) -> dict[str, Any]:
    upload = Uploads(work).get(tenant_id, upload_id)
    if upload is None or upload.state is not UploadState.COMPLETE:
        raise InputMissing("upload")
    return {
        "id": upload.id,
        "filename": upload.filename,
        "sha256": upload.blob,
        "bytes": upload.bytes,
    }


def _manifest(work: Work, tenant_id: str, dataset_id: str) -> dict[str, Any]:
    dataset = Datasets(work).get(tenant_id, dataset_id)
    if dataset is None or dataset.state is not DatasetState.READY or dataset.manifest is None:
        raise InputMissing("dataset")
    return dataset.manifest


def _generator(work: Work, tenant_id: str, named: str) -> dict[str, Any]:
    generators = Generators(work)
    find = generators.by_job if named.startswith("job_") else generators.get
    model: Model | None = find(tenant_id, named)
    if model is None:
        raise InputMissing("generator")
    return {"id": model.id, "files": model.files, "config": model.config}


def _outputs(work: Work, tenant_id: str, job_id: str) -> dict[str, Any]:
    mine = select(jobs.c.result).where(jobs.c.tenant_id == tenant_id, jobs.c.id == job_id)
    row = work.row(mine)
    if row is None:
        raise InputMissing("job")
    files = {
        artifact.name: {"sha256": artifact.sha256, "bytes": artifact.bytes}
        for artifact in Artifacts(work).list(tenant_id, job_id)
    }
    return {"job_id": job_id, "artifacts": files, "summary": row["result"] or {}}
