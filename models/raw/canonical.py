"""Uploaded images, clips and texts into the canonical folder: decoded once, then mapped by every job."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from models.embeddings.array_files import Upload
from models.embeddings.canonical import Manifest
from models.embeddings.class_sizes import check_class_sizes, check_unlabelled
from models.embeddings.parts import check_class_names
from models.embeddings.row_columns import read_ids, read_splits, write_ids
from models.embeddings.statistics import statistics
from models.embeddings.vocabulary import Codes, Vocabulary
from models.embeddings.wording import listing, show
from models.errors import InputProblem
from models.raw.archive_parts import archive_parts
from models.raw.archives import open_archive
from models.raw.checking import check_items
from models.raw.item_writer import ItemWriter
from models.raw.limits import RawLimits
from models.raw.parts import RawPart
from models.raw.signatures import check_raw_signature
from models.raw.spec import RAW_FORMATS, Modality, RawColumns
from models.raw.table_part import table_part
from models.raw.thumbnails import write_thumbnails
from models.raw.webdataset import webdataset_part

Arrays = dict[str, np.ndarray[Any, Any]]
_IDS = 16_384
_SHOWN_FILES = 20


def read_raw(
    files: Sequence[Path],
    filenames: Sequence[str],
    *,
    modality: Modality,
    format: str,  # noqa: A002 - the API's name for it
    columns: RawColumns,
    limits: RawLimits,
    out: Path,
    on_progress: Callable[[int], None] = lambda _rows: None,
) -> Manifest:
    """Write ``out``/items.bin, {offsets,y,split,subdomain?,group?}.npy, ids.parquet and thumbnails.webp?.

    Items stream: their bytes cost disk, not memory. An item costs its name, its labels and some 50
    bytes. Rows are in the order of the files, within a file in the order of its items' bytes. An item
    at fault is left out and named in the statistics, up to a share; what is wrong with a file as
    a whole, or with a label, refuses everything.

    Args:
        files: where the untrusted uploads lie, complete.
        filenames: what their owner calls them; only ever shown.
        modality: what the items are.
        format: one of ``RAW_FORMATS[modality]``; files of another are refused by their first bytes.
        columns: which column or field holds what.
        limits: what a file, and an item, may claim.
        out: an empty folder; after an error its content means nothing.
        on_progress: told how many items have been read.

    Returns:
        ``modality, rows, classes, subdomains, groups, splits, class_counts, unlabelled, cell_counts,
        columns`` (by name ``{"file": …}``), and ``stats``.

    Raises:
        InputProblem: with a code of docs/data-formats.md; never another exception for what is
            wrong with the files.
    """
    if format not in RAW_FORMATS[modality] or not files or len(files) != len(filenames):
        raise InputProblem(
            "unsupported_media_type",
            f"Found {len(files)} files of format {show(format)}; {modality} is taken as one or more of "
            f"{', '.join(RAW_FORMATS[modality])}.",
            "format",
        )
    uploads = [Upload(path, name) for path, name in zip(files, filenames, strict=True)]
    try:
        for upload in uploads:
            check_raw_signature(upload, format)
        stored = sum(path.stat().st_size for path in files)
        with TemporaryDirectory(dir=out) as scratch:
            parts = _parts(uploads, format, modality, columns, limits, Path(scratch))
            return _Reader(parts, modality, columns, limits, out, stored, on_progress).run()
    except MemoryError:
        raise InputProblem(
            "table_too_large",
            f"{show(filenames[0])} needs more memory to decode than a decoder is given.",
            filenames[0],
        ) from None


def _parts(
    uploads: Sequence[Upload],
    kind: str,
    modality: Modality,
    columns: RawColumns,
    limits: RawLimits,
    scratch: Path,
) -> list[RawPart]:
    """Return the parts of all files in the order of their rows.

    Raises:
        InputProblem: ``no_rows``, ``too_many_rows``, and what is wrong with a file.
    """
    parts: list[RawPart] = []
    for upload in uploads:
        if kind in ("parquet", "jsonl", "csv"):
            first = sum(part.rows for part in parts)
            parts.append(table_part(upload, kind, modality, columns, first, limits))
            continue
        prefix = f"{upload.filename}/" if len(uploads) > 1 else ""
        archive = open_archive(upload, limits, scratch)
        if kind == "webdataset":
            parts.append(webdataset_part(archive, modality, columns, prefix, limits))
        else:
            parts += archive_parts(archive, columns, prefix, limits, scratch)
    rows = sum(part.rows for part in parts)
    where = listing(upload.filename for upload in uploads)
    if rows == 0:
        raise InputProblem(
            "no_rows", f"{where} has no items; expected some of two classes.", "columns.item"
        )
    if rows > limits.max_rows:
        raise InputProblem(
            "too_many_rows",
            f"{where} has {rows:,} items; at most {limits.max_rows:,} are taken.",
            "columns.item",
        )
    return parts


class _Reader:
    """The steps of one reading, cheap ones first: what is wrong is told before gigabytes stream."""

    def __init__(
        self,
        parts: list[RawPart],
        modality: Modality,
        columns: RawColumns,
        limits: RawLimits,
        out: Path,
        stored: int,
        on_progress: Callable[[int], None],
    ) -> None:
        self._parts = parts
        self._modality: Modality = modality
        self._columns = columns
        self._limits = limits
        self._out = out
        self._stored = stored
        self._on_progress = on_progress

    def run(self) -> Manifest:
        names: dict[str, list[str]] = {}
        names["classes"], y = self._labels()
        arrays: Arrays = {
            "y": y,
            "split": np.concatenate([read_splits(part) for part in self._parts]),
        }
        where = self._parts[0].y.where
        check_unlabelled(y, arrays["split"], self._parts)
        check_class_sizes(y, arrays["split"], names["classes"], where)
        for role in ("subdomain", "group"):
            if getattr(self._columns, role) is not None:
                declared = self._declared(role)
                vocabulary = Vocabulary(f"{role}s", "value_missing", self._limits, declared)
                names[role], arrays[role] = self._encode(vocabulary, role)
        ids = [text for block in read_ids(self._parts, self._limits) for text in block]
        writer = self._write_items()
        arrays = {name: array[writer.rows] for name, array in arrays.items()}
        if writer.rejected:
            where += f" (without those at fault, {writer.rejected.total():,} in all)"
            check_class_sizes(arrays["y"], arrays["split"], names["classes"], where)
        return self._finish(writer, arrays, names, ids)

    def _labels(self) -> tuple[list[str], Codes]:
        vocabulary = Vocabulary(
            "labels",
            "label_missing",
            self._limits,
            self._declared("y"),
            optional=self._columns.unlabelled,
            hint=" Items that are meant to have none need `columns.unlabelled: true`.",
        )
        return self._encode(vocabulary, "y", "label")

    def _declared(self, role: str) -> list[str] | None:
        """Return the names that the files declare for a column's integers: the same in all, or none."""
        found = [part.declared.get(role) for part in self._parts]
        if any(names != found[0] for names in found):
            raise InputProblem(
                "bad_classes",
                f"{self._parts[0].where} and the files after it declare different names of their "
                f"{role} values; expected the same.",
                "columns.label",
            )
        if found[0] is not None:
            check_class_names(found[0], self._parts[0].where, self._limits)
        return found[0]

    def _encode(
        self, vocabulary: Vocabulary, role: str, param: str | None = None
    ) -> tuple[list[str], Codes]:
        """Return the names of a column's values, and each row's number among them."""
        param = f"columns.{param or role}"
        codes = [vocabulary.encode(getattr(part, role), param) for part in self._parts]
        return vocabulary.names(), vocabulary.final(np.concatenate(codes))

    def _write_items(self) -> ItemWriter:
        read, first = 0, 0
        with ItemWriter(self._out / "items.bin", self._stored, self._limits) as writer:
            for part in self._parts:
                for checked in check_items(part.items(), self._modality, self._limits):
                    writer.append(checked, first + checked.item.row)
                    read += 1
                    self._on_progress(read)
                first += part.rows
        writer.check_share(self._columns.max_bad_share)
        return writer

    def _finish(
        self, writer: ItemWriter, arrays: Arrays, names: dict[str, list[str]], ids: list[str]
    ) -> Manifest:
        offsets = writer.offsets
        for name, array in {**arrays, "offsets": offsets}.items():
            np.save(self._out / f"{name}.npy", array, allow_pickle=False)
        write_ids(_blocks([ids[row] for row in writer.rows]), self._out / "ids.parquet")
        files = {"items": "items.bin", "offsets": "offsets.npy"}
        files |= {name: f"{name}.npy" for name in arrays} | {"id": "ids.parquet"}
        if self._modality == "image":
            self._thumbnails(arrays["y"], offsets)
            files["thumbnails"] = "thumbnails.webp"
        return self._manifest(statistics(writer.digests, arrays, names), writer, files, names)

    def _thumbnails(self, y: Codes, offsets: Codes) -> None:
        items = np.memmap(self._out / "items.bin", np.uint8, mode="r")
        write_thumbnails(
            self._out / "thumbnails.webp",
            y,
            lambda row: items[offsets[row] : offsets[row + 1]].tobytes(),
            self._limits,
        )

    def _manifest(
        self,
        stats: dict[str, Any],
        writer: ItemWriter,
        files: dict[str, str],
        names: dict[str, list[str]],
    ) -> Manifest:
        ignored = [name for part in self._parts for name in part.ignored]
        report = writer.report(self._modality)
        rows = len(writer.rows)
        return {
            "modality": self._modality,
            "rows": rows,
            "classes": names["classes"],
            "subdomains": names.get("subdomain"),
            "groups": len(names["group"]) if "group" in names else None,
            "splits": stats["splits"],
            "class_counts": stats["class_counts"],
            "unlabelled": stats["unlabelled"],
            "cell_counts": stats["cell_counts"],
            "columns": {name: {"file": file} for name, file in files.items()},
            "stats": {
                "rows": rows, **stats, **report,
                "ignored": len(ignored), "ignored_files": ignored[:_SHOWN_FILES],
            },
        }  # fmt: skip


def _blocks(ids: list[str]) -> Iterator[list[str]]:
    return (ids[first : first + _IDS] for first in range(0, len(ids), _IDS))
