"""What ALIA's tests work with: tiny random models, pictures in three parts, jobs and what they hand out."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from transformers import CLIPModel

from app.domain.jobs import SUCCESSFUL, Job, JobState
from app.domain.reviews import ShownItem
from tests.models.alia import tiny_diffusion, tiny_language
from tests.models.encoders import tiny
from tests.workers.here import Here
from tests.workers.pictures import COLOURS
from workers.shelf import Shelf

if TYPE_CHECKING:
    from tests.workers.conftest import Service

SIDE = 32
COLUMNS = {"label": "label", "split": "split", "subdomain": "domain"}
PREFIX = "a {}"
RAIN, NIGHT, GRASS = (f"{PREFIX} {where}" for where in ("in rain", "by night", "on grass"))
"""Descriptions whose prompts the tiny image-text model reads to their end: 14 letters."""

PARTS: dict[str, Mapping[str, int]] = {
    "train": {"ant": 10, "bee": 7, "cat": 5},
    "val": dict.fromkeys(("ant", "bee", "cat"), 4),
    "test": dict.fromkeys(("ant", "bee", "cat"), 6),
}
FILES: tuple[str, ...] = (
    "descriptions.json",
    "edits.zip",
    "pairs.zip",
    "lineage.parquet",
    "predictions.npz",
)
FILES += ("card.md", "edits.png", "dropped.png")
CLASSES = ("ant", "bee", "cat")
OFF: dict[str, Any] = {"enabled": False}
EDITOR: dict[str, Any] = {
    "model": "sd", "size": SIDE, "steps": 4, "batch_size": 4, "precision": "float32",
}  # fmt: skip
TINY: dict[str, Any] = {
    "kind": "alia",
    "subject": "pet",
    "descriptions": [RAIN, NIGHT, GRASS],
    "summarise": {"prefix": PREFIX, "model": None},
    "edit": EDITOR,
    "filters": {
        "semantic": {"switch": "off", "model": "clip"},
        "confidence": {"switch": "off", "folds": 2, "steps": 3},
    },
    "plan": {"per_class": 4},
    "attempts": 1,
    "augmentations": ["none"],
    "classifier": {
        "network": "resnet-8", "width": 4, "steps": 4, "batch_size": 8, "checkpoint_steps": 2,
    },
}  # fmt: skip
"""The spec of a job of a second or two, to which a test adds `dataset`."""


def models(folder: Path) -> Path:
    """Write a captioner, a language model, an image-text model and an editor; return their folder."""
    folder.mkdir()
    _sharp_eyed(tiny.make("clip", folder / "clip"))
    tiny_diffusion.stable(folder / "sd")
    tiny_language.blip(folder / "blip")
    tiny_language.qwen3(folder / "qwen", positions=4096)
    return folder


def _sharp_eyed(folder: Path) -> None:
    """Make a random CLIP tell images from each other: those of a class look different to it."""
    model = CLIPModel.from_pretrained(folder)
    eye = model.vision_model.embeddings
    eye.patch_embedding.weight.data.mul_(10)
    eye.class_embedding.data.zero_()
    model.save_pretrained(folder)


def zoo(parts: Mapping[str, Mapping[str, int]] = PARTS, seed: int = 0) -> bytes:
    """Return a zip of so many pictures of each class in each part, with a table of what they are.

    By day they are bright, at night dark; in `train` ants live by day, bees at night, cats in both.
    """
    file, lines = io.BytesIO(), ["file_name,label,split,domain"]
    with zipfile.ZipFile(file, "w") as entries:
        for split, sizes in parts.items():
            for label, (name, count) in enumerate(sizes.items()):
                for number in range(count):
                    night = (label, number % 2)[split != "train" or label == 2] % 2 == 1
                    path = f"{split}/{name}{number:03}.png"
                    entries.writestr(path, _picture(label, [seed, len(split), number], night))
                    lines.append(f"{path},{name},{split},{('day', 'night')[night]}")
        entries.writestr("metadata.csv", "\n".join(lines))
    return file.getvalue()


def _picture(label: int, seed: list[int], night: bool) -> bytes:
    rng = np.random.default_rng([label, *seed])
    pixels = np.array(COLOURS[label]) + rng.normal(0, 30, (SIDE, SIDE, 3))
    pixels[:, rng.integers(SIDE)] = 240
    file = io.BytesIO()
    shade = 0.4 if night else 1.0
    Image.fromarray((np.clip(pixels, 0, 255) * shade).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def worked(
    service: Service,
    name: str,
    stops: dict[str, list[int]] | None = None,
    shelf: Shelf | None = None,
) -> Here:
    """Run what is to be done, by a worker with nothing loaded yet unless its shelf is given."""
    here = Here(service, service.settings.home / name, stops or {}, shelf=shelf or Shelf())
    here.work()
    return here


def pictures(service: Service, data: bytes) -> str:
    """Return a dataset of pictures in three parts, by day and by night."""
    dataset, ingest = service.dataset(data, "zoo.zip", "image", **COLUMNS)
    worked(service, f"ingest-{dataset}")
    assert service.get(ingest).state is JobState.SUCCEEDED, service.get(ingest).error
    return dataset


def ended(service: Service, spec: dict[str, Any], shelf: Shelf | None = None, **more: Any) -> Job:
    """Return a job, without evaluation unless told otherwise, when it has ended, or waits."""
    job = service.job(spec, **({"evaluate": OFF} | more))
    worked(service, job, shelf=shelf)
    return service.get(job)


def error(job: Job) -> tuple[str, str | None, str]:
    """Return code, field and sentence of what a job failed of."""
    assert job.state is JobState.FAILED, job.state
    assert job.error is not None
    return job.error["code"], job.error["param"], job.error["detail"]


def waits_for(job: Job) -> str | None:
    assert job.state is JobState.AWAITING_REVIEW, job.error
    return job.awaiting


def to_review(service: Service, job: Job) -> list[ShownItem]:
    """Return what a job that waits shows a person."""
    with service.store.read() as tx:
        page, more = tx.reviews.page(service.tenant, job.id, limit=100)
    assert not more
    return page


def pixels(service: Service, sha256: str) -> np.ndarray:
    return np.asarray(Image.open(service.blobs.local_path(service.tenant, sha256)))


def lineage(service: Service, job_id: str) -> list[dict[str, Any]]:
    """Return what is told of every edit; scores as a dict."""
    table = pq.read_table(io.BytesIO(service.read(job_id, "lineage.parquet")))
    return [row | {"scores": dict(row["scores"])} for row in table.to_pylist()]


def archived(service: Service, job_id: str, name: str = "edits.zip") -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(service.read(job_id, name)))


def lines_of(archive: zipfile.ZipFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]


def made(service: Service, job_id: str) -> dict[str, str]:
    """Return sha-256 by name of all that a job hands out and that names no job nor seconds."""
    assert service.get(job_id).state in SUCCESSFUL, service.get(job_id).error
    artifacts = service.artifacts(job_id)
    files = {name: artifacts[name] for name in FILES if name in artifacts}
    with service.store.read() as tx:
        classifier = tx.classifiers.by_job(service.tenant, job_id)
    assert classifier is not None
    return files | {name: blob["sha256"] for name, blob in classifier.files.items()}


def manifest(service: Service, job_id: str) -> dict[str, Any]:
    """Return a manifest without what names the job or tells seconds: its id and the report."""
    found: dict[str, Any] = json.loads(service.read(job_id, "manifest.json"))
    assert found.pop("job") == job_id
    for name in ("report.json", "report.html"):
        found["files"].pop(name, None)
    return found


def report(service: Service, job_id: str) -> dict[str, Any]:
    """Return a job's report without what depends on who worked on it: seconds."""
    found: dict[str, Any] = json.loads(service.read(job_id, "report.json"))
    compute = found["facts"]["compute"]
    for cost in (compute["edits"], *compute["classifiers"].values()):
        for name in [name for name in cost if name.startswith("seconds")]:
            assert cost.pop(name) > 0
    return found
