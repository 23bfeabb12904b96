"""What a classifier job hands out takes the caller's embeddings as they are."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.domain.jobs import JobState
from models.classifiers.classifier import Classifier

FILES = ("classifier.safetensors", "config.json")


def arrays(latents: Callable[..., bytes]) -> tuple[np.ndarray, np.ndarray]:
    with np.load(io.BytesIO(latents()), allow_pickle=False) as found:
        return found["x"], found["y"]


def head_upload(service: Any, **head: np.ndarray) -> str:
    """Upload a head as npz; return the upload's id."""
    file = io.BytesIO()
    np.savez(file, **head)  # type: ignore[arg-type]
    blob = service.blobs.put_bytes(service.tenant, file.getvalue())
    with service.store.write() as tx:
        upload = tx.uploads.create(service.tenant, "head.npz", blob.bytes, None, 1 << 20)
        tx.uploads.complete(service.tenant, upload.id, blob.sha256, blob.bytes)
    return str(upload.id)


def fitted(
    service: Any,
    latents: Callable[..., bytes],
    folder: Path,
    preparation: dict[str, Any] | None = None,
    **head: Any,
) -> Classifier:
    dataset, ingest = service.dataset(latents())
    spec = {"kind": "classifier", "dataset": dataset, "head": head}
    spec |= {"preparation": preparation or {}}
    job = service.wait(service.job(spec, evaluate={"seeds": 1}, inputs=(ingest,)))
    assert job.state is JobState.SUCCEEDED, job.error
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(service.read(job.id, name))
    return Classifier.load(folder)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_classifier_of_a_job_predicts_embeddings(
    at_work: Any, latents: Callable[..., bytes], tmp_path: Path, kind: str
) -> None:
    x, y = arrays(latents)
    classifier = fitted(at_work, latents, tmp_path / "out", head=kind, hidden=16)
    assert (classifier.predict(x) == y).mean() > 0.9
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["classes"] == ["class 0", "class 1", "class 2"]


def test_embeddings_are_prepared_as_the_job_says(
    at_work: Any, latents: Callable[..., bytes], tmp_path: Path
) -> None:
    x, y = arrays(latents)
    wanted = {"transform": "sqrt", "components": 3, "normalise": True}
    classifier = fitted(at_work, latents, tmp_path / "out", preparation=wanted)
    assert classifier.front.config["preparation"] == wanted | {"standardise": True}
    assert (classifier.dim, classifier.front.dim) == (8, 3)
    assert (classifier.predict(x) == y).mean() > 0.8


def test_a_head_that_came_along_is_where_the_classifier_stays_under_a_strong_penalty(
    at_work: Any, latents: Callable[..., bytes], tmp_path: Path
) -> None:
    x, _ = arrays(latents)
    rng = np.random.default_rng(3)
    weight, bias = 3 * rng.standard_normal((3, 8)), rng.standard_normal(3)
    upload = head_upload(at_work, head_weight=weight, head_bias=bias)
    initial = {"upload": upload}
    classifier = fitted(
        at_work,
        latents,
        tmp_path / "out",
        preparation={"standardise": False},
        initial=initial,
        weight_decay=1.0,
    )
    theirs = (x @ weight.T + bias).argmax(axis=1)
    assert (classifier.predict(x) == theirs).mean() > 0.9
