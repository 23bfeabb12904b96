"""Cutting a plan into sample tasks, running one, and putting the results together again."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects, NewTask
from models.gelda.method import Generator
from models.gelda.spec import SamplerSpec
from workers.pipelines.mapped import new_array
from workers.task import TaskRun

SHARD_ROWS = 16_384
_BATCH_ROWS = 1024

Item = tuple[int, int, int]
"""Cell number, first counter, how many."""

Labels = npt.NDArray[np.int64]


def cut(counts: Sequence[int], rows: int = SHARD_ROWS) -> list[list[Item]]:
    """Return the items of each shard: cells in order, at most `rows` rows a shard.

    Where a row falls depends on the plan alone, so its bytes do not depend on who draws it.
    """
    shards: list[list[Item]] = []
    room = 0
    for label, count in enumerate(counts):
        first = 0
        while first < count:
            if room == 0:
                shards.append([])
                room = rows
            take = min(room, count - first)
            shards[-1].append((label, first, take))
            first += take
            room -= take
    return shards


def planned(counts: Sequence[int], rows: int = SHARD_ROWS) -> tuple[NewTask, ...]:
    """Return the tasks of the sample stage, each of at most `rows` rows."""
    return tuple(
        NewTask("sample", shard, {"items": [list(item) for item in items]})
        for shard, items in enumerate(cut(counts, rows))
    )


def expand(items: Iterable[Sequence[int]]) -> tuple[Labels, Labels]:
    """Return cell and counter of each row of a shard, in order."""
    rows = [(label, first, count) for label, first, count in items]
    labels = [np.full(count, label, dtype=np.int64) for label, _, count in rows]
    counters = [np.arange(first, first + count, dtype=np.int64) for _, first, count in rows]
    empty = [np.empty(0, dtype=np.int64)]
    return np.concatenate(labels or empty), np.concatenate(counters or empty)


def load_generator(task: TaskRun, files: Mapping[str, Mapping[str, Any]]) -> Generator:
    """Return a trained generator; it stays loaded for the tasks that follow."""
    device = task.device
    key = (task.tenant, device, *sorted(blob["sha256"] for blob in files.values()))
    return task.shelf.get(
        key, lambda: Generator.load(task.fetch_folder(files, "generator"), device)
    )


def draw(task: TaskRun, generator: Generator, sampler: SamplerSpec) -> Effects:
    """Draw the rows of this task's shard and keep them as one npy."""
    items = task.claim.payload["items"]
    labels, counters = expand(items)
    latents = generator.sample(
        labels,
        counters,
        seed=task.claim.seed,
        sampler=sampler,
        should_stop=task.should_stop,
        on_progress=task.progress,
        batch_size=task.batch(_BATCH_ROWS),
    )
    path = task.scratch / "latents.npy"
    np.save(path, latents, allow_pickle=False)
    result = {**task.keep(path).named, "rows": len(labels), "items": items}
    return Effects(result=result, counts={"generated": len(labels)})


def gather(
    task: TaskRun, results: Sequence[Mapping[str, Any]], dim: int
) -> tuple[npt.NDArray[np.float32], Labels, Labels]:
    """Return latents (memory-mapped, n × dim), cells and counters of all shards, in plan order."""
    rows = sum(result["rows"] for result in results)
    expanded = [expand(result["items"]) for result in results]
    empty = [np.empty(0, dtype=np.int64)]
    labels = np.concatenate([part[0] for part in expanded] or empty)
    counters = np.concatenate([part[1] for part in expanded] or empty)
    if rows == 0:  # an empty file cannot be mapped
        return np.empty((0, dim), dtype=np.float32), labels, counters
    latents = new_array(_free(task.scratch, "synthetic"), np.float32, (rows, dim))
    start = 0
    for result in results:
        part = np.load(task.fetch(result["sha256"]), mmap_mode="r", allow_pickle=False)
        latents[start : start + len(part)] = part
        start += len(part)
        task.stop_here()
    return latents, labels, counters


def _free(folder: Path, name: str) -> Path:
    return folder / f"{name}-{len(list(folder.iterdir()))}.npy"
