"""The labelled images of a dataset, read and resized once, in three parts that later stages map."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from models.evaluation.splits import TEST, TRAIN, VAL
from models.images.rows import read_images
from models.raw.dataset import RawDataset
from workers.pipelines.datasets import Rows, Splits
from workers.pipelines.mapped import new_array
from workers.task import TaskRun

PARTS = {"train": TRAIN, "val": VAL, "test": TEST}

_BLOCK_BYTES = 1 << 26
"""Pixels that are in memory at once while a part is read."""

Kept = dict[str, dict[str, Any]]
"""File name to ``{"sha256", "bytes"}``."""


@dataclass(frozen=True)
class ImagePart:
    """Labelled images of one split.

    Attributes:
        x: uint8 `n side side 3`, mapped.
        y: classes, `n`.
        rows: their rows in the dataset, `n`.
        group: groups, `n`; None where the dataset has none.
        subdomain: subdomains, `n`; None likewise.
    """

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int64]
    rows: Rows
    group: npt.NDArray[np.int64] | None = None
    subdomain: npt.NDArray[np.int64] | None = None


class PartReader:
    """Reads parts one after the other, with one progress over all of them."""

    def __init__(self, task: TaskRun, data: RawDataset, split: Splits, side: int) -> None:
        self._task, self._data, self._side = task, data, side
        self._rows = {
            name: np.flatnonzero((split == code) & (data.y >= 0)) for name, code in PARTS.items()
        }
        self._done = 0

    def keep(self, *names: str) -> dict[str, Kept]:
        """Read the images of these parts and keep them as blobs.

        Raises:
            InputProblem: an image does not decode here.
            Interrupted: the task is to stop.
        """
        total = sum(len(self._rows[name]) for name in names)
        return {name: self._keep(name, total) for name in names}

    def _keep(self, name: str, total: int) -> Kept:
        rows, folder = self._rows[name], self._task.scratch / name
        folder.mkdir()
        images = _array(folder / "images.npy", (len(rows), self._side, self._side, 3))
        block = max(1, _BLOCK_BYTES // (3 * self._side**2))
        for start in range(0, len(rows), block):
            images[start : start + block] = self._read(rows[start : start + block], total)
        del images  # the last pages go into the file
        columns = {"y": self._data.y[rows], "rows": rows}
        for other, column in (("group", self._data.group), ("subdomain", self._data.subdomain)):
            if column is not None:
                columns[other] = column[rows]
        arrays: dict[str, Any] = columns
        np.savez(folder / "rows.npz", **arrays)
        return self._task.keep_folder(folder)

    def _read(self, rows: Rows, total: int) -> npt.NDArray[np.uint8]:
        def should_stop() -> bool:
            # Asked before every image.
            self._task.progress(self._done, total)
            self._done += 1
            return self._task.should_stop()

        return read_images(self._data, rows, self._side, should_stop=should_stop)


def _array(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return a new array in a file; an empty one cannot be mapped, and there is nothing to fill."""
    if not shape[0]:
        np.save(path, np.empty(shape, np.uint8), allow_pickle=False)
        return np.empty(shape, np.uint8)
    return new_array(path, np.uint8, shape)


def open_part(task: TaskRun, kept: Kept) -> ImagePart:
    """Return a part that `PartReader` has kept."""
    path = task.fetch(kept["images.npy"]["sha256"])
    try:
        # Private pages, never written to: torch warns of arrays that cannot be.
        x = np.load(path, mmap_mode="c", allow_pickle=False)
    except ValueError:  # an empty file cannot be mapped
        x = np.load(path, allow_pickle=False)
    with np.load(task.fetch(kept["rows.npz"]["sha256"]), allow_pickle=False) as columns:
        group, subdomain = columns.get("group"), columns.get("subdomain")
        return ImagePart(x, columns["y"], columns["rows"], group, subdomain)


def write_rows(path: Path, rows: Rows, ids: list[str]) -> Path:
    """Write which rows of the dataset the training images are: `row` and `id`, an image each."""
    pq.write_table(pa.table({"row": pa.array(rows), "id": pa.array(ids, pa.string())}), path)
    return path


def read_rows(path: Path) -> tuple[Rows, list[str]]:
    """Return what `write_rows` wrote."""
    table = pq.read_table(path)
    return table.column("row").to_numpy().astype(np.int64), table.column("id").to_pylist()


def ids_of(path: Path, rows: Rows) -> list[str]:
    """Return the owner's names of these rows, from the `id` column of a dataset."""
    column = pq.read_table(path, columns=["id"]).column("id")
    found: list[str] = column.take(pa.array(rows)).to_pylist()
    return found
