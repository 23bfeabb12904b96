"""The dataset that a task was given, opened from blobs, and the parting of its rows."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.embeddings.dataset import EmbeddingDataset
from models.errors import InputProblem
from models.evaluation.spec import EvaluateSpec
from models.evaluation.splits import TEST, TRAIN, UNASSIGNED, VAL, make_splits
from models.raw.dataset import RawDataset
from workers.pipelines.mapped import Mapped, new_array
from workers.task import TaskRun

Splits = npt.NDArray[np.int8]
Rows = npt.NDArray[np.int64]

_BLOCK_ROWS = 65_536


def open_dataset(task: TaskRun) -> EmbeddingDataset:
    """Return the claimed dataset, or what this job's own encoder made of it, memory-mapped."""
    manifest = manifest_of(task)
    files = {name: task.fetch(column["sha256"]) for name, column in manifest["columns"].items()}
    data = EmbeddingDataset.open(manifest, files)
    return replace(data, x=Mapped.of(data.x))


def manifest_of(task: TaskRun) -> Mapping[str, Any]:
    """Return the manifest of the embeddings that this job works on."""
    gathered = task.claim.earlier.get("gather")
    found: Mapping[str, Any] = gathered[0]["manifest"] if gathered else task.claim.inputs["dataset"]
    return found


def encoder_of(task: TaskRun) -> dict[str, Any]:
    """Return ``{"encoder": fingerprint}`` of what made the embeddings; empty where that is not known."""
    fingerprint = manifest_of(task).get("encoder")
    return {} if fingerprint is None else {"encoder": fingerprint}


def embeddings_in_words(task: TaskRun) -> str:
    """Return what made the embeddings, for a card; empty where that is not known."""
    found = encoder_of(task).get("encoder")
    if found is None:
        return ""
    layer = "its own output" if found["layer"] is None else f"layer {found['layer']}"
    return (
        f"Of {found['id']}, {layer}, pooling {found['pooling']}; files {found['revision'][:12]}, "
        f"preprocessing {found['preprocessing'][:12]}. Embeddings of anything else do not fit."
    )


def evaluation_of(task: TaskRun) -> EvaluateSpec:
    """Return how this job measures itself."""
    return EvaluateSpec.model_validate(task.claim.evaluate or {})


def part(
    data: EmbeddingDataset | RawDataset, evaluate: EvaluateSpec, manifest: Mapping[str, Any]
) -> tuple[Splits, list[int]]:
    """Return the split of each row, and the numbers of classes too small to be in each split.

    Rows are parted by the dataset's content, not by the job's seed: so a `classifier` job holds out
    the very rows that the generator of a `gelda` job on the same dataset has not seen.
    Without evaluation nothing is set aside: rows that the dataset assigns to no split train, too.
    Rows without a label train; of a group that is held out, they stay in no split (-1).
    """
    labelled = data.y >= 0
    split = np.where(data.split == UNASSIGNED, TRAIN, data.split).astype(np.int8)
    too_small: list[int] = []
    if evaluate.enabled:
        split[labelled], too_small = make_splits(
            data.y[labelled],
            data.split[labelled],
            None if data.group is None else data.group[labelled],
            val_share=evaluate.val_share,
            test_share=evaluate.test_share,
            seed=int(_content(manifest)[:15], 16),
        )
        _check_held_out(split)
    if data.group is not None:
        held_out = np.isin(data.group, data.group[split != TRAIN])
        split[held_out & ~labelled] = UNASSIGNED
    return split, too_small


def _content(manifest: Mapping[str, Any]) -> str:
    """Return the digest of what was uploaded: raw rows are parted as their embeddings are."""
    columns = manifest["columns"]
    source = manifest.get("source") or columns["items" if "items" in columns else "x"]
    sha256: str = source["sha256"]
    return sha256


def _check_held_out(split: Splits) -> None:
    for code, name in ((VAL, "val"), (TEST, "test")):
        if not (split == code).any():
            raise InputProblem(
                "too_few_rows",
                f"No class has rows enough for a {name} split beside training: bring one, or more "
                "rows, or switch evaluate off.",
                "evaluate",
            )


def training_rows(split: Splits) -> Rows:
    """Return the row numbers that may train; InputProblem if there is none."""
    rows = np.flatnonzero(split == TRAIN)
    if not len(rows):
        raise InputProblem("no_training_rows", "No row of the dataset is in its train split.")
    return rows


def take(x: npt.NDArray[Any], rows: Rows, path: Path) -> npt.NDArray[Any]:
    """Return the given rows of `x`, memory-mapped from `path`; all rows in order come as they are."""
    if len(rows) == len(x):
        return x
    if not len(rows):  # an empty file cannot be mapped
        return np.empty((0, x.shape[1]), dtype=x.dtype)
    out = new_array(path, x.dtype, (len(rows), x.shape[1]))
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        out[block] = x[rows[block]]
    return Mapped.of(out)
