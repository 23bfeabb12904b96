"""What edit tasks have made: each image with its scores, written by one stage and read by the later ones."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.alia.duplicates import small, twins
from models.alia.filters import Decisions, Scores, class_thresholds, decide
from models.cores import cores
from models.encoders.ahead import ahead
from workers.pipelines.alia_job import AliaJob, Picture
from workers.pipelines.stored_zip import StoredZip
from workers.task import TaskRun

Labels = npt.NDArray[np.int64]
_MOST_THREADS = 8


@dataclass(frozen=True)
class Block:
    """Edits of one task, in the order of its plan.

    Attributes:
        slot: number of the slot that each was made for, `n`.
        attempt: which try it is, `n`.
        label: class, `n`.
        description: number of the description, `n`.
        source: number of the training image, `n`.
        seed: of its noise, `n`.
        black: whether nothing came out but black, `n`.
        semantic: by how much the subject is likelier than what spoilt edits look like, `n`; nan without an
            image-text model.
        p: what the classifier that had not seen its source said, `n K`; K is 0 without one.
        distance: to its source, `n`; nan without one.
        small: as classifiers read it, uint8 `n side side 3`.
        images: as it came out, uint8 (height, width, 3) each.
    """

    slot: Labels
    attempt: Labels
    label: Labels
    description: Labels
    source: Labels
    seed: npt.NDArray[np.uint64]
    black: npt.NDArray[np.bool_]
    semantic: npt.NDArray[np.float64]
    p: npt.NDArray[np.float32]
    distance: npt.NDArray[np.float64]
    small: Picture
    images: Sequence[Picture] = ()

    def __len__(self) -> int:
        return len(self.slot)


_COLUMNS = tuple(one.name for one in fields(Block) if one.name not in ("small", "images"))


def write_block(folder: Path, block: Block) -> None:
    """Write a block's columns, small images and images as PNG, encoded by threads."""
    arrays: dict[str, Any] = {name: getattr(block, name) for name in _COLUMNS}
    np.savez(folder / "columns.npz", **arrays)
    np.save(folder / "small.npy", block.small, allow_pickle=False)
    threads = min(_MOST_THREADS, cores())
    with StoredZip(folder / "images.zip") as zipped:
        for number, data in enumerate(ahead(png, block.images, threads=threads, most=4 * threads)):
            zipped.add(f"{number}.png", data)


def png(image: Picture) -> bytes:
    """Return an image as PNG; equal images give equal bytes."""
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True)
class Items(Block):
    """All that one maker has made, first edits first, without the images at their own size.

    Attributes:
        archives: the first item of each block, and where its images lie.
    """

    archives: tuple[tuple[int, Path], ...] = ()

    def id_of(self, row: int) -> str:
        """Return an item's name: class, description, running number and attempt."""
        return f"{self.label[row]}-{self.description[row]}-{self.slot[row]}-{self.attempt[row]}"

    def pngs(self, rows: Iterable[int]) -> Iterator[bytes]:
        """Yield images as they came out, as PNG."""
        opened: dict[int, ZipFile] = {}
        try:
            for row in rows:
                place = max(n for n, (first, _) in enumerate(self.archives) if first <= row)
                if place not in opened:
                    for archive in opened.values():
                        archive.close()
                    opened = {place: ZipFile(self.archives[place][1])}
                yield opened[place].read(f"{row - self.archives[place][0]}.png")
        finally:
            for archive in opened.values():
                archive.close()


def items_of(job: AliaJob, maker: str) -> Items:
    """Return all that a maker has made so far, in plan order."""
    blocks = list(_blocks(job.task, maker))
    columns: dict[str, Any] = {}
    for name in (*_COLUMNS, "small"):
        parts = [block[name] for block, _ in blocks]
        columns[name] = np.concatenate(parts) if parts else _EMPTY[name](job)
    starts = np.cumsum([0, *(len(block["slot"]) for block, _ in blocks)])
    archives = tuple((int(start), path) for start, (_, path) in zip(starts, blocks, strict=False))
    return Items(**columns, archives=archives)


def _blocks(task: TaskRun, maker: str) -> Iterator[tuple[Mapping[str, npt.NDArray[Any]], Path]]:
    for stage in ("edit", "top_up"):
        for result in task.claim.earlier.get(stage, []):
            for files in result["blocks"] if result["maker"] == maker else []:
                paths = {name: task.fetch(blob["sha256"]) for name, blob in files.items()}
                with np.load(paths["columns.npz"], allow_pickle=False) as arrays:
                    columns = {name: arrays[name] for name in arrays.files}
                columns["small"] = np.load(paths["small.npy"], allow_pickle=False)
                yield columns, paths["images.zip"]


def scores_of(job: AliaJob, block: Block) -> Scores:
    """Return what was measured of edits, as filters read it."""
    filters = job.spec.filters
    looked = filters.semantic.switch != "off"
    near = filters.duplicate.switch == "on"
    return Scores(
        label=block.label,
        black=block.black,
        semantic=block.semantic if looked else None,
        confidence=block.p if block.p.shape[1] else None,
        distance=block.distance,
        twins=_twins(block, filters.duplicate.distance) if near else None,
    )


def _twins(block: Block, distance: float) -> Labels:
    """Return the pairs of edits that are near; black ones are all alike, and dropped for that alone."""
    rows = np.flatnonzero(~block.black)
    found: Labels = rows[twins(small(list(block.small[rows])), distance)]
    return found


def decided(job: AliaJob, block: Block, filters: Collection[str]) -> Decisions:
    """Return what becomes of each edit under these filters, `n`."""
    confidence = job.spec.filters.confidence
    return decide(
        scores_of(job, block),
        filters,  # type: ignore[arg-type]  # names out of a setting
        thresholds=thresholds_of(job) if "confidence" in filters else None,
        index=confidence.index,
        distance=job.spec.filters.duplicate.distance,
    )


def thresholds_of(job: AliaJob) -> npt.NDArray[np.float64]:
    """Return how sure classifiers are of each class on real images that they have not seen, K."""
    n, k = len(job.train.y), len(job.classes)
    p = np.full((n, k), np.nan)
    for result in job.task.claim.earlier["folds"]:
        with np.load(job.task.fetch(result["unseen"]["sha256"]), allow_pickle=False) as arrays:
            p[arrays["rows"]] = arrays["p"]
    return class_thresholds(p, job.train.y)


def first_kept(block: Block, decisions: Decisions) -> Labels:
    """Return the items that fill their slots: of each the first that is kept, in order of slots."""
    rows = np.flatnonzero(decisions == "kept")
    order = rows[np.lexsort((block.attempt[rows], block.slot[rows]))]
    _, first = np.unique(block.slot[order], return_index=True)
    return order[first].astype(np.int64)


def survivors(job: AliaJob, block: Block, filters: Collection[str]) -> Labels:
    """Return the items that fill their slots under these filters."""
    return first_kept(block, decided(job, block, filters))


def named_scores(block: Block, row: int) -> dict[str, float]:
    """Return the scores of an item by name, those that there are."""
    found = {"semantic": float(block.semantic[row]), "distance": float(block.distance[row])}
    if block.p.shape[1]:
        label = int(block.label[row])
        others = np.delete(block.p[row], label)
        found["own_class"] = float(block.p[row, label])
        found["other_class"] = float(others.max(initial=0))
    return {name: round(value, 6) for name, value in found.items() if np.isfinite(value)}


def _none(kind: type) -> Callable[[AliaJob], npt.NDArray[Any]]:
    return lambda _job: np.empty(0, kind)


_EMPTY: dict[str, Callable[[AliaJob], npt.NDArray[Any]]] = {
    **dict.fromkeys(("slot", "attempt", "label", "description", "source"), _none(np.int64)),
    "seed": _none(np.uint64),
    "black": _none(np.bool_),
    "semantic": _none(np.float64),
    "distance": _none(np.float64),
    "p": lambda job: np.empty((0, len(job.classes)), np.float32),
    "small": lambda job: np.empty((0, job.side, job.side, 3), np.uint8),
}
"""Columns of nothing, by their names."""
