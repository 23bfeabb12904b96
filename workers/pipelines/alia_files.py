"""Edits as files: class folders or WebDataset, pairs with their sources, and the lineage of every edit made."""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from models.alia.editing.prompts import Prompts, prompts
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
            "editor": f"{job.spec.edit.editor}: {job.spec.editor_model}",
            "seed": int(items.seed[row]),
            "prompt": self.prompts(description, job.classes[label]),
            "scores": named_scores(items, row),
            "decision": decision,
            "sha256": hashlib.sha256(data).hexdigest(),
            "parent_rows": [int(job.train.rows[source])],
            "parent_weights": [1.0],
            "file_name": f"{self.folders[label]}/{name}.png" if decision == "kept" else None,
        }


def write_edits(known: Catalogue, folder: Path) -> list[Path]:
    """Write `edits.zip` or `edits.tar`, `pairs.zip` where it is wanted, and `lineage.parquet`."""
    spec = known.job.spec.output
    tar = spec.format == "webdataset"
    edits = folder / ("edits.tar" if tar else "edits.zip")
    lineage, kept = folder / "lineage.parquet", folder / METADATA
    writer = _Shards(edits) if tar else _Folders(edits, kept)
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


class _Folders:
    """A zip of class folders with `metadata.jsonl`."""

    def __init__(self, path: Path, metadata: Path) -> None:
        self._zip, self._path = StoredZip(path), metadata
        self._metadata = metadata.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        self._zip.__enter__()
        return self

    def add(self, line: Mapping[str, Any], data: bytes) -> None:
        self._zip.add(line["file_name"], data)
        self._metadata.write(json.dumps(_told(line), ensure_ascii=False) + "\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metadata.close()
        if kind is None:
            self._zip.add_file(METADATA, self._path)
        self._zip.__exit__(kind, error, trace)


class _Shards:
    """A tar of PNG and JSON by key, as WebDataset reads it; equal contents are equal bytes."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def add(self, line: Mapping[str, Any], data: bytes) -> None:
        told = json.dumps(_told(line) | {"file_name": None}, ensure_ascii=False)
        for ending, content in (("png", data), ("json", told.encode())):
            entry = tarfile.TarInfo(f"{line['item_id']}.{ending}")
            entry.size = len(content)
            self._tar.addfile(entry, BytesIO(content))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tar.close()


def _told(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of `metadata.jsonl`."""
    names = (
        "file_name",
        "label",
        "item_id",
        "prompt",
        "editor",
        "scores",
        "decision",
        "method",
        "sha256",
    )
    return {name: line[name] for name in names} | {
        "domain": line["subdomain"],
        "source": line["parent_ids"][0],
        "source_row": line["parent_rows"][0],
        # As text: readers of JSON that know no integers above 2⁶³ would round it.
        "seed": str(line["seed"]),
    }


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
    return {name: value for name, value in _told(line).items() if name != "file_name"}
