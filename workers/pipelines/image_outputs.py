"""Synthetic images as files: a zip of class folders, and their lineage, written in one pass."""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from models.seeds import item_seed
from workers.pipelines.image_shards import Shard
from workers.pipelines.outputs import LINEAGE
from workers.pipelines.stored_zip import StoredZip

ARCHIVE, METADATA = "synthetic.zip", "metadata.jsonl"

IMAGE_LINEAGE = pa.schema(
    [
        *LINEAGE,
        ("parent_rows", pa.list_(pa.int64())),
        ("parent_weights", pa.list_(pa.float32())),
        ("file_name", pa.string()),
    ]
)
"""What lineage is of every item, and of images from which rows in which shares, under which name."""

_GROUP_ITEMS = 16_384
_LONGEST_FOLDER = 80  # bytes; file systems take 255, and a path has other parts
_RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}
"""Names that Windows keeps for devices."""


@dataclass(frozen=True)
class Origin:
    """Where synthetic images come from.

    Attributes:
        classes: names, K.
        rows: the dataset's row of each training image.
        ids: its owner's name for that row.
        seed: the job's.
        method: what made them.
    """

    classes: Sequence[str]
    rows: npt.NDArray[np.int64]
    ids: Sequence[str]
    seed: int
    method: str = "glico"


def folder_names(classes: Sequence[str]) -> list[str]:
    """Return a folder's name for each class: safe on every file system, and no two alike on any.

    A name that is safe stays; others lose what is not, and get the class's number, as does the second of
    two that differ in case alone. What a class is called, `metadata.jsonl` says.
    """
    safe = [_safe(name) for name in classes]
    taken = {METADATA}
    found = [""] * len(classes)
    for number, name in enumerate(classes):
        if safe[number] == name and name.casefold() not in taken:
            found[number] = name
            taken.add(name.casefold())
    for number in [number for number, name in enumerate(found) if not name]:
        folder = f"{safe[number]}-{number}"
        while folder.casefold() in taken:
            folder += "-"
        found[number] = folder
        taken.add(folder.casefold())
    return found


def _safe(name: str) -> str:
    """Return a name without what a file system, or a shell, could take amiss."""
    kept = "".join(
        one if unicodedata.category(one)[0] in "LNM" or one in " -_." else "_"
        for one in unicodedata.normalize("NFC", name)
    )
    kept = kept.encode()[:_LONGEST_FOLDER].decode(errors="ignore").strip(". ")
    if not kept or kept.partition(".")[0].casefold() in _RESERVED:
        return f"class_{kept}"
    return kept


def write_images(
    folder: Path,
    shards: Iterable[Shard],
    origin: Origin,
    on_item: Callable[[], None] = lambda: None,
) -> tuple[Path, Path]:
    """Write `synthetic.zip` and `lineage.parquet`; return both paths.

    Memory holds a shard and a group of lines, whatever the number of images. Equal images give equal
    bytes.

    Args:
        folder: where to.
        shards: of all images, in plan order.
        origin: of their parents.
        on_item: called after each image.
    """
    archive, lineage, lines = folder / ARCHIVE, folder / "lineage.parquet", folder / METADATA
    folders, group = folder_names(origin.classes), []
    with (
        StoredZip(archive) as zipped,
        pq.ParquetWriter(lineage, IMAGE_LINEAGE, compression="zstd") as table,
        lines.open("w", encoding="utf-8") as metadata,
    ):
        for png, item in _items(shards, origin, folders):
            zipped.add(item["file_name"], png)
            metadata.write(_json_line(item))
            group.append(item)
            if len(group) == _GROUP_ITEMS:
                table.write_table(_table(group))
                group = []
            on_item()
        table.write_table(_table(group))
        metadata.close()
        zipped.add_file(METADATA, lines)
    lines.unlink()
    return archive, lineage


def _items(
    shards: Iterable[Shard], origin: Origin, folders: Sequence[str]
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each image as PNG, and what is known of it."""
    for shard in shards:
        for i, (cell, counter) in enumerate(zip(shard.cells, shard.counters, strict=True)):
            png = _png(shard.images[i])
            there = np.flatnonzero(shard.weights[i] > 0)
            parents = shard.parents[i][there].tolist()
            name = f"{cell}-{counter}"
            yield (
                png,
                {
                    "file_name": f"{folders[cell]}/{name}.png",
                    "label": origin.classes[cell],
                    "item_id": name,
                    "parents": [origin.ids[parent] for parent in parents],
                    "parent_rows": origin.rows[parents].tolist(),
                    "weights": [round(float(w), 6) for w in shard.weights[i][there]],
                    "seed": item_seed(origin.seed, int(cell), int(counter)),
                    "method": origin.method,
                    "sha256": hashlib.sha256(png).hexdigest(),
                },
            )


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _json_line(item: dict[str, Any]) -> str:
    # As text: readers of JSON that know no integers above 2⁶³ would round a seed.
    return json.dumps(item | {"seed": str(item["seed"])}, ensure_ascii=False) + "\n"


def _table(items: list[dict[str, Any]]) -> pa.Table:
    lines = [
        {
            "item_id": item["item_id"],
            "is_synthetic": True,
            "parent_ids": item["parents"],
            "label": item["label"],
            "subdomain": None,
            "method": item["method"],
            "seed": item["seed"],
            "prompt": None,
            "scores": {},
            "decision": "kept",
            "sha256": item["sha256"],
            "parent_rows": item["parent_rows"],
            "parent_weights": item["weights"],
            "file_name": item["file_name"],
        }
        for item in items
    ]
    return pa.Table.from_pylist(lines, schema=IMAGE_LINEAGE)
