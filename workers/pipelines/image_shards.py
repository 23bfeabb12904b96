"""Drawing planned images: a shard a task, and all of them again, one shard in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.tasks import Effects, NewTask
from models.glico.generator import BATCH, Generator
from models.glico.spec import InterpolationSpec
from workers.pipelines.shards import expand, planned
from workers.task import TaskRun

_SHARD_PIXELS = 1 << 23
"""Pixels that one task draws: 8,192 images of 32 × 32, what one core does in half a minute or so."""

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """Images that one task has drawn, in plan order.

    Attributes:
        images: uint8 `n side side 3`, mapped.
        cells: class of each, `n`.
        counters: its number within the class, `n`.
        parents: numbers of training images, `n p`, the base first.
        weights: their shares, `n p`; 0 for a place without a parent.
    """

    images: npt.NDArray[np.uint8]
    cells: Labels
    counters: Labels
    parents: Labels
    weights: npt.NDArray[np.float32]


def planned_shards(counts: Sequence[int], side: int) -> tuple[NewTask, ...]:
    """Return the tasks of the sample stage: whole batches, so that who takes them moves no cut."""
    batches = max(1, _SHARD_PIXELS // (side * side * BATCH))
    return planned(counts, rows=batches * BATCH)


def load_image_generator(task: TaskRun, files: Mapping[str, Mapping[str, Any]]) -> Generator:
    """Return a trained generator; it stays loaded for the tasks that follow."""
    device = task.device
    key = ("glico", task.tenant, device, *sorted(blob["sha256"] for blob in files.values()))
    return task.shelf.get(
        key, lambda: Generator.load(task.fetch_folder(files, "generator"), device)
    )


def draw_images(task: TaskRun, generator: Generator, interpolation: InterpolationSpec) -> Effects:
    """Draw the images of this task's shard, and keep them with their parents."""
    items = task.claim.payload["items"]
    cells, counters = expand(items)
    drawn = generator.sample(
        cells,
        counters,
        seed=task.claim.seed,
        interpolation=interpolation,
        should_stop=task.should_stop,
        on_progress=task.progress,
        batch_size=task.batch(BATCH),
    )
    folder = task.scratch / "shard"
    folder.mkdir()
    np.save(folder / "images.npy", drawn.images, allow_pickle=False)
    np.savez(folder / "origin.npz", parents=drawn.parents, weights=drawn.weights)
    result = {"files": task.keep_folder(folder), "rows": len(cells), "items": items}
    return Effects(result=result, counts={"generated": len(cells)})


def shards(task: TaskRun, results: Sequence[Mapping[str, Any]]) -> Iterator[Shard]:
    """Yield what the tasks of the sample stage have drawn, in plan order."""
    for result in results:
        files = {name: task.fetch(blob["sha256"]) for name, blob in result["files"].items()}
        images = np.load(files["images.npy"], mmap_mode="c", allow_pickle=False)
        with np.load(files["origin.npz"], allow_pickle=False) as origin:
            yield Shard(images, *expand(result["items"]), origin["parents"], origin["weights"])


def rows_of(results: Sequence[Mapping[str, Any]]) -> int:
    """Return how many images were drawn."""
    return sum(result["rows"] for result in results)
