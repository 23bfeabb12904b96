"""Edits as files: class folders or WebDataset, pairs with their sources, and the lineage of every edit made."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from models.alia.editing.prompts import Prompts, prompts
from workers.pipelines.alia_archives import Folders, Shards, told_of
from workers.pipelines.alia_items import Items, items_of, named_scores, png
from workers.pipelines.alia_job import AliaJob, Originals
from workers.pipelines.alia_select import Selection, selection_of
from workers.pipelines.image_outputs import IMAGE_LINEAGE, METADATA, folder_names
from workers.pipelines.image_parts import ids_of
from workers.pipelines.stored_zip import StoredZip

_GROUP_ITEMS = 4096


@dataclass(frozen=True)
class Catalogue:
    """What is known of every edit, kept or not.

    Attributes:
        job: whose.
        items: the edits.
        chosen: which of them are handed out, and why the others are not.
        prompts: writes what the editor was told.
        ids: of the training images, as their owner calls them.
        folders: one a class.
    """

    job: AliaJob
    items: Items
    chosen: Selection
    prompts: Prompts
    ids: Sequence[str]
    folders: Sequence[str]

    @classmethod
    def of(cls, job: AliaJob) -> Self:
        edit = job.spec.edit
        column = job.task.claim.inputs["dataset"]["columns"]["id"]["sha256"]
        return cls(
            job,
            items_of(job, "edit"),
            selection_of(job, "edit"),
            prompts(edit.editor, edit.template, job.spec.summarise.prefix, "edit.template"),
            ids_of(job.task.fetch(column), job.train.rows),
            folder_names(job.classes),
        )

    def _file_of(self, name: str, label: int) -> str:
        """Return under which name an item lies in the archive."""
        flat = self.job.spec.output.format == "webdataset"
        return f"{name}.png" if flat else f"{self.folders[label]}/{name}.png"

    def line(self, row: int, data: bytes) -> dict[str, Any]:
        """Return what the lineage tells of an item, given its PNG."""
        job, items = self.job, self.items
        label, source = int(items.label[row]), int(items.source[row])
        description = job.descriptions[int(items.description[row])]
        name, decision = items.id_of(row), str(self.chosen.decisions[row])
        return {
            "item_id": name,
            "is_synthetic": True,
            "parent_ids": [self.ids[source]],
            "label": job.classes[label],
            "subdomain": description,
            "method": "alia",
            "editor": job.spec.edit.editor,
            "seed": int(items.seed[row]),
            "prompt": self.prompts(description, job.classes[label]),
            "scores": named_scores(items, row),
            "decision": decision,
            "sha256": hashlib.sha256(data).hexdigest(),
            "parent_rows": [int(job.train.rows[source])],
            "parent_weights": [1.0],
            "file_name": self._file_of(name, label) if decision == "kept" else None,
        }


def write_edits(known: Catalogue, folder: Path) -> list[Path]:
    """Write `edits.zip` or `edits.tar`, `pairs.zip` where it is wanted, and `lineage.parquet`."""
    spec = known.job.spec.output
    tar = spec.format == "webdataset"
    edits = folder / ("edits.tar" if tar else "edits.zip")
    lineage, kept = folder / "lineage.parquet", folder / METADATA
    writer = Shards(edits) if tar else Folders(edits, kept)
    group: list[dict[str, Any]] = []
    total = len(known.items)
    with writer, pq.ParquetWriter(lineage, IMAGE_LINEAGE, compression="zstd") as table:
        for row, (line, data) in enumerate(_lines(known)):
            if line["decision"] == "kept":
                writer.add(line, data)
            group.append(line)
            if len(group) == _GROUP_ITEMS:
                table.write_table(pa.Table.from_pylist(group, schema=IMAGE_LINEAGE))
                group = []
            known.job.task.progress((row + 1) / (2 * total + 1), 1.0)
            known.job.task.stop_here()
        table.write_table(pa.Table.from_pylist(group, schema=IMAGE_LINEAGE))
    kept.unlink(missing_ok=True)
    pairs = [_pairs(known, folder)] if spec.pairs else []
    return [edits, *pairs, lineage]


def _lines(known: Catalogue) -> Iterator[tuple[dict[str, Any], bytes]]:
    rows = range(len(known.items))
    for row, data in zip(rows, known.items.pngs(rows), strict=True):
        yield known.line(row, data), data


def _pairs(known: Catalogue, folder: Path) -> Path:
    """Write each edit beside its source, with the prompt between them.

    The columns are those by which Hugging Face datasets reads two images a row.
    """
    path, lines = folder / "pairs.zip", folder / METADATA
    job, originals = known.job, Originals(known.job.task)
    kept = known.chosen.kept
    with StoredZip(path) as zipped, lines.open("w", encoding="utf-8") as metadata:
        for place, (row, data) in enumerate(
            zip(kept.tolist(), known.items.pngs(kept.tolist()), strict=True)
        ):
            line = known.line(row, data)
            name = line["item_id"]
            source = originals[line["parent_rows"][0]]
            zipped.add(f"source/{name}.png", png(source))
            zipped.add(f"edited/{name}.png", data)
            told = {
                "source_file_name": f"source/{name}.png",
                "edited_file_name": f"edited/{name}.png",
            }
            metadata.write(json.dumps(told | _named(line), ensure_ascii=False) + "\n")
            job.task.progress(0.5 + 0.5 * place / max(1, len(kept)), 1.0)
            job.task.stop_here()
        metadata.close()
        zipped.add_file(METADATA, lines)
    lines.unlink()
    return path


def _named(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told_of(line).items() if name != "file_name"}
