"""Raw items to embeddings: `embed` jobs, and the first stages of a `gelda` job on raw data."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from huggingface_hub import constants

from app.domain.tasks import Effects, NewTask
from models.encoders.allowed import ALLOWED, Modality
from models.encoders.catalogue import Found, find
from models.encoders.encode import Encoder
from models.encoders.pull import pull
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem
from models.raw.audio import decode_audio
from models.raw.dataset import RawDataset
from models.raw.image import decode_image
from models.raw.problem import ItemProblem
from workers.pipelines.mapped import new_array
from workers.task import TaskRun

SHARD_ITEMS = {"image": 2048, "audio": 256, "text": 8192}
"""Items a task: what one core does in minutes, so that a killed worker loses no more than that."""

DECODE = {"image": decode_image, "audio": decode_audio, "text": None}
"""From the bytes of an item to what an encoder reads. They were decoded in full once, by ingest, in a
process with limits: what could harm has harmed that one."""

RAW_COLUMNS = ("items", "offsets", "thumbnails")


def fetch(task: TaskRun) -> Effects:
    """See that the model is at hand, and cut the dataset into shards."""
    spec, manifest = _encoder_spec(task), task.claim.inputs["dataset"]
    found = at_hand(task, spec.model)
    rows, batch = manifest["rows"], spec.batch_rows
    # Shards of whole batches: who takes them moves no cut between batches.
    shard = batch * max(1, SHARD_ITEMS[manifest["modality"]] // batch)
    plan = tuple(
        NewTask("encode", number, {"start": start, "stop": min(start + shard, rows)})
        for number, start in enumerate(range(0, rows, shard))
    )
    return Effects(result={"revision": found.revision}, plan=plan)


def encode(task: TaskRun) -> Effects:
    """Embed one shard."""
    manifest, payload = task.claim.inputs["dataset"], task.claim.payload
    data = open_raw(task, manifest)
    encoder = _encoder(task, manifest["modality"])
    try:
        x = encoder.encode(
            data,
            range(payload["start"], payload["stop"]),
            decode=DECODE[manifest["modality"]],
            on_progress=task.progress,
            should_stop=task.should_stop,
        )
    except ItemProblem as problem:
        # It was decoded once: this machine's libraries are others, or its blob is not whole.
        rows = f"{payload['start']} to {payload['stop'] - 1}"
        detail = f"An item of rows {rows}, which ingest had taken, {problem.detail}."
        raise InputProblem(problem.code, detail, "dataset") from problem
    broken = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(broken):
        raise InputProblem(
            "non_finite_values",
            f"The encoder makes values that are not finite of row {payload['start'] + broken[0]}"
            f"{f' and of {len(broken) - 1} more' if len(broken) > 1 else ''}.",
            "encoder",
        )
    path = task.scratch / "vectors.npy"
    np.save(path, x, allow_pickle=False)
    return Effects(
        result={**task.keep(path).named, "encoder": encoder.fingerprint},
        counts={"embedded": len(x)},
    )


def gather(task: TaskRun) -> Effects:
    """Put the shards together: an embedding dataset of the same rows."""
    shards = task.claim.earlier["encode"]
    manifest = _embedded(task, task.claim.inputs["dataset"], shards)
    if task.claim.kind != "embed":
        return Effects(result={"manifest": manifest})
    stats = {name: manifest[name] for name in ("rows", "dim", "dtype", "splits", "class_counts")}
    told = {"rows": manifest["rows"], "dim": manifest["dim"], "encoder": manifest["encoder"]}
    return Effects(dataset={"manifest": manifest, "stats": stats}, summary=told)


def open_raw(task: TaskRun, manifest: Mapping[str, Any]) -> RawDataset:
    """Return a raw dataset, memory-mapped."""
    files = {name: task.fetch(column["sha256"]) for name, column in manifest["columns"].items()}
    return RawDataset.open(manifest, files)


def _embedded(
    task: TaskRun, source: Mapping[str, Any], shards: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the manifest of the embeddings: the source's rows, with x in place of the items."""
    if any(shard["encoder"] != shards[0]["encoder"] for shard in shards):
        raise InputProblem(
            "encoder_mismatch",
            "The model's files have changed while the job ran: its shards are of different encoders.",
            "encoder.model",
        )
    parts = [
        np.load(task.fetch(shard["sha256"]), mmap_mode="r", allow_pickle=False) for shard in shards
    ]
    rows, dim = source["rows"], parts[0].shape[1]
    path = task.scratch / "x.npy"
    x = new_array(path, np.float32, (rows, dim))
    start = 0
    for part in parts:
        x[start : start + len(part)] = part
        start += len(part)
        task.progress(start, rows)
        task.stop_here()
    x.flush()
    columns = {name: one for name, one in source["columns"].items() if name not in RAW_COLUMNS}
    columns["x"] = {"file": "x.npy", **task.keep(path).named}
    return {
        **source,
        "modality": "embedding",
        "dim": dim,
        "dtype": "float32",
        "columns": columns,
        "encoder": shards[0]["encoder"],
        # Rows are parted by what they are, whichever encoder looks at them.
        "source": {"modality": source["modality"], "sha256": source["columns"]["items"]["sha256"]},
    }


def _encoder(task: TaskRun, modality: Modality) -> Encoder:
    """Return the encoder, which stays loaded for the tasks that follow."""
    spec = _encoder_spec(task)
    found, device = at_hand(task, spec.model), task.device
    key = ("encoder", found.revision, modality, device, spec.model_dump_json())
    encoder = task.shelf.get(key, lambda: Encoder.load(found, spec, device, modality=modality))
    return replace(encoder, rows_at_once=task.batch(encoder.rows_at_once))


def at_hand(task: TaskRun, model: str, param: str = "encoder.model") -> Found:
    """Return a model, downloaded if need be: another worker's machine may have it, and this one not.

    Raises:
        InputProblem: it is not at hand; `param` is the field of the spec that names it.
    """
    if task.settings.model_downloads and not constants.HF_HUB_OFFLINE and model in ALLOWED:
        return pull(model, on_progress=task.progress)
    return find(model, param)


def _encoder_spec(task: TaskRun) -> EncoderSpec:
    return EncoderSpec.model_validate(task.claim.spec["encoder"])
