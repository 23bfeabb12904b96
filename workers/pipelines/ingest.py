"""Uploads to a dataset: decoded apart, by `workers.decoding`, then kept as canonical columns."""

from pathlib import Path
from typing import Any

from app.domain.specs import IngestSpec
from app.domain.tasks import Effects
from workers.decoding import decode
from workers.task import TaskRun


def ingest(task: TaskRun) -> Effects:
    """Validate the uploads and store their canonical form; `Effects.dataset` is the manifest."""
    spec = IngestSpec.model_validate(task.claim.spec)
    uploads = task.claim.inputs["uploads"]
    out = task.scratch / "canonical"
    out.mkdir()
    manifest = decode(
        task,
        {
            "what": "embeddings" if spec.modality == "embedding" else "raw",
            "modality": spec.modality,
            "files": [str(task.fetch(upload["sha256"])) for upload in uploads],
            "filenames": [upload["filename"] for upload in uploads],
            "format": spec.format,
            "columns": spec.columns.model_dump(),
            "out": str(out),
        },
    )
    stats = manifest.pop("stats", {})
    manifest["columns"] = {
        name: column | _kept(task, out / Path(column["file"]).name)
        for name, column in manifest["columns"].items()
    }
    task.progress(1.0, 1.0)
    return Effects(
        dataset={"manifest": manifest, "stats": stats},
        summary={name: manifest[name] for name in ("rows", "dim") if name in manifest},
    )


def _kept(task: TaskRun, path: Path) -> dict[str, Any]:
    return task.keep(path).named
