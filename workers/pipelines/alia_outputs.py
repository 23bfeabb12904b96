"""The files that an ALIA job hands out: edits, pairs with their sources, lineage, manifest and card."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.domain.tasks import Effects, NewModel
from models.alia.editing.prompts import prompts
from workers.pipelines.alia_archives import Folders, Shards, told_of
from workers.pipelines.alia_items import Items, items_of, named_scores, png
from workers.pipelines.alia_job import AliaJob, Originals
from workers.pipelines.alia_select import Selection, selection_of
from workers.pipelines.image_outputs import IMAGE_LINEAGE, METADATA, folder_names
from workers.pipelines.image_parts import ids_of
from workers.pipelines.manifest import artifact, kept_artifacts, write_card, write_manifest
from workers.pipelines.stored_zip import StoredZip

_GROUP_ITEMS = 4096


@dataclass(frozen=True)
class Catalogue:
    """What is known of every edit, kept or not.

    Attributes:
        job: whose.
        items: the edits.
        chosen: which of them are handed out, and why the others are not.
        ids: of the training images, as their owner calls them.
        folders: one a class.
    """

    job: AliaJob
    items: Items
    chosen: Selection
    ids: Sequence[str]
    folders: Sequence[str]

    @classmethod
    def of(cls, job: AliaJob) -> Self:
        column = job.task.claim.inputs["dataset"]["columns"]["id"]["sha256"]
        return cls(
            job,
            items_of(job, "edit"),
            selection_of(job, "edit"),
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
        write = prompts(
            job.spec.edit.editor, job.spec.edit.template, job.spec.summarise.prefix, "edit.template"
        )
        name, decision = items.id_of(row), str(self.chosen.decisions[row])
        return {
            "item_id": name,
            "is_synthetic": True,
            "parent_ids": [self.ids[source]],
            "label": job.classes[label],
            "subdomain": description,
            "method": "alia",
            "seed": int(items.seed[row]),
            "prompt": write(description, job.classes[label]),
            "editor": job.spec.edit.editor,
            "scores": named_scores(items, row),
            "decision": decision,
            "sha256": hashlib.sha256(data).hexdigest(),
            "parent_rows": [int(job.train.rows[source])],
            "parent_weights": [1.0],
            "file_name": self._file_of(name, label) if decision == "kept" else None,
        }


def publish_edits(
    job: AliaJob,
    evaluated: Mapping[str, Any],
    *,
    facts: Mapping[str, Any],
    classifier: NewModel,
    summary: Mapping[str, Any],
) -> Effects:
    """Write and keep everything; return it all as the last stage's effects."""
    task, known = job.task, Catalogue.of(job)
    folder = task.scratch / "published"
    folder.mkdir()
    files = [artifact(task, path) for path in _written(known, folder)]
    told = _facts(known) | dict(facts)
    card = write_card(folder / "card.md", "Edited images", _card(known, summary))
    files += [artifact(task, card), *kept_artifacts(evaluated["files"])]
    files.append(artifact(task, write_manifest(folder / "manifest.json", task, files, told)))
    rejected = int((known.chosen.decisions == "rejected").sum())
    filtered = len(known.items) - len(known.chosen.kept) - rejected
    about = {"rows": len(known.chosen.kept), "side": job.side, "unfilled": known.chosen.unfilled}
    task.progress(1.0, 1.0)
    return Effects(
        artifacts=tuple(files),
        classifier=classifier,
        counts={"filtered": filtered, "rejected": rejected},
        summary=about | dict(summary),
    )


def _written(known: Catalogue, folder: Path) -> list[Path]:
    """Write edits, pairs and lineage in one pass over all items."""
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


def _facts(known: Catalogue) -> dict[str, Any]:
    """Return what the manifest tells beside files, spec and versions."""
    job = known.job
    editors = [one["facts"] for one in job.task.claim.earlier["edit"] if one["maker"] == "edit"]
    made = [
        one
        for stage in ("edit", "top_up")
        for one in job.task.claim.earlier.get(stage, [])
        if one["maker"] == "edit"
    ]
    return {
        "method": "alia",
        "models": job.result["models"],
        "descriptions": list(job.descriptions),
        "described_by": job.task.claim.earlier["summarise"][0]["how"],
        "editor": editors[0] if editors else None,
        "batches_halved": sum(1 for one in made if one["halvings"]),
        "rows": _rows(known),
        "skipped": dict(job.result["skipped"]),
        "unfilled": known.chosen.unfilled,
    }


def _rows(known: Catalogue) -> dict[str, int]:
    """Return how many edits of each class are handed out."""
    counts = np.bincount(known.items.label[known.chosen.kept], minlength=len(known.job.classes))
    return dict(zip(known.job.classes, counts.tolist(), strict=True))


def _card(known: Catalogue, summary: Mapping[str, Any]) -> dict[str, str]:
    job, rows = known.job, _rows(known)
    domains = np.bincount(
        known.items.description[known.chosen.kept], minlength=len(job.descriptions)
    )
    lines = [f"| {text} | {n} |" for text, n in zip(job.descriptions, domains, strict=True)]
    models = [f"- {one['id']} ({one['role']}): {one['licence']}" for one in job.result["models"]]
    return {
        "Does it help?": summary["verdict"]["sentence"]
        if "verdict" in summary
        else "Not measured: this job did not evaluate its images.",
        "What this is": (
            f"{len(known.chosen.kept)} edits of training images of {len(rows)} classes, made by "
            f"{job.spec.edit.editor} with {job.spec.editor_model} after ALIA (Dunlap et al. 2023). Every "
            "image is synthetic; `metadata.jsonl` and `lineage.parquet` name its source, prompt, seed and "
            "scores, the latter those of edits that were dropped, too."
        ),
        "Domains": "\n".join(["| description | edits |", "| --- | --- |", *lines]),
        "Not made": _unfilled(known),
        "Models and their licences": "\n".join(models),
        "Limits": (
            "An edit keeps of its source what the editor keeps, which may be less than the class needs, and "
            "shows people and things as the editor's training images showed them. Whoever gets an edit "
            "gets something of its source."
        ),
    }


def _unfilled(known: Catalogue) -> str:
    if not known.chosen.unfilled:
        return ""
    return (
        f"{known.chosen.unfilled} edits that were asked for: after {known.job.spec.attempts} attempts each "
        "no filter had kept one."
    )
