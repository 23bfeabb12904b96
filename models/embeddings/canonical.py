"""Uploaded embeddings into the canonical folder: validated once, then mapped by every job."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.embeddings.array_files import Upload, open_npy, open_npz, open_safetensors
from models.embeddings.arrow import ArrowTable
from models.embeddings.class_sizes import check_class_sizes, check_unlabelled
from models.embeddings.column import Source
from models.embeddings.limits import Limits
from models.embeddings.matrix_writer import MatrixWriter
from models.embeddings.parquet import ParquetTable
from models.embeddings.parts import declared_classes, find_parts
from models.embeddings.row_columns import read_ids, read_splits, write_ids
from models.embeddings.signatures import check_signature
from models.embeddings.spec import Columns
from models.embeddings.statistics import statistics
from models.embeddings.table import TableSource
from models.embeddings.vocabulary import Codes, Vocabulary
from models.embeddings.wording import show
from models.errors import InputProblem

Manifest = dict[str, Any]
FORMATS = ("npz", "npy", "safetensors", "parquet", "arrow")


def read_embeddings(
    files: Sequence[Path],
    filenames: Sequence[str],
    *,
    format: str,  # noqa: A002 - the API's name for it
    columns: Columns,
    limits: Limits,
    out: Path,
    on_progress: Callable[[int], None] = lambda _rows: None,
) -> Manifest:
    """Write ``out``/{x,y,split,subdomain?,group?}.npy and ids.parquet? and return their manifest.

    x streams: its size costs disk, not memory. A row costs 16 bytes for finding duplicates and 8 for
    each of its labels. Rows of several files, and of ``x``, ``x_val`` and ``x_test``, follow each
    other in that order.

    Args:
        files: where the untrusted uploads lie, complete.
        filenames: what their owner calls them; only ever shown, and for npy matched by stem.
        format: one of ``FORMATS``; files of another are refused by their first bytes.
        columns: which array or column holds what.
        limits: what a file may claim.
        out: an empty folder; after an error its content means nothing.
        on_progress: told how many rows have been written.

    Returns:
        ``modality, rows, dim, dtype, classes, subdomains, groups, splits, class_counts, unlabelled,
        cell_counts, columns`` (by name ``{"file": …}``), and ``stats``.

    Raises:
        InputProblem: with a code of docs/data-formats.md; never another exception for what is
            wrong with the files.
    """
    if format not in FORMATS or not files or len(files) != len(filenames):
        raise InputProblem(
            "unsupported_media_type",
            f"Found {len(files)} files of format {show(format)}; expected one or more of "
            f"{', '.join(FORMATS)}.",
            "format",
        )
    uploads = [Upload(path, name) for path, name in zip(files, filenames, strict=True)]
    try:
        for upload in uploads:
            check_signature(upload.path, upload.filename, format)
        sources = _open(uploads, format, columns, limits, out)
        return _Reader(sources, columns, limits, out, on_progress).run()
    except MemoryError:
        tabular = format in ("parquet", "arrow")
        raise InputProblem(
            "table_too_large" if tabular else "array_too_large",
            f"{show(filenames[0])} needs more memory to decode than a decoder is given.",
            filenames[0],
        ) from None


def _open(
    uploads: Sequence[Upload], kind: str, columns: Columns, limits: Limits, out: Path
) -> Sequence[Source]:
    if kind == "npz":
        return [open_npz(uploads, limits, out)]
    if kind == "npy":
        return [open_npy(uploads, (columns.x, columns.y), limits, out)]
    if kind == "safetensors":
        return [open_safetensors(uploads, limits, out)]
    table = ParquetTable if kind == "parquet" else ArrowTable
    return [TableSource(table(path, name, limits), limits) for path, name in uploads]


class _Reader:
    """The steps of one reading, cheap ones first: what is wrong is told before gigabytes stream."""

    def __init__(
        self,
        sources: Sequence[Source],
        columns: Columns,
        limits: Limits,
        out: Path,
        on_progress: Callable[[int], None],
    ) -> None:
        self._limits = limits
        self._out = out
        self._on_progress = on_progress
        self._parts = find_parts(sources, columns, limits)
        self._declared = declared_classes(sources, columns, limits)
        self._unlabelled = columns.unlabelled

    def run(self) -> Manifest:
        dtype = self._dtype()
        labels, y = self._encode_labels()
        split = np.concatenate([read_splits(part) for part in self._parts])
        check_unlabelled(y, split, self._parts)
        check_class_sizes(y, split, labels, self._parts[0].y.where)
        arrays: dict[str, np.ndarray[Any, Any]] = {"y": y, "split": split}
        names: dict[str, list[str]] = {"classes": labels}
        for role in ("subdomain", "group"):
            if getattr(self._parts[0], role) is not None:
                vocabulary = Vocabulary(f"{role}s", "value_missing", self._limits)
                names[role], arrays[role] = self._encode(vocabulary, role)
        if self._parts[0].id is not None:
            write_ids(read_ids(self._parts, self._limits), self._out / "ids.parquet")
        with MatrixWriter(self._out / "x.npy", dtype, self._limits) as writer:
            for part in self._parts:
                writer.append(part.x, self._on_progress)
        for name, array in arrays.items():
            np.save(self._out / f"{name}.npy", array, allow_pickle=False)
        return self._manifest(writer, arrays, names)

    def _dtype(self) -> np.dtype[Any]:
        """Return float16 where every part has it, else float32."""
        every = {part.x.dtype() for part in self._parts}
        return np.dtype(np.float16 if every == {np.dtype(np.float16)} else np.float32)

    def _encode_labels(self) -> tuple[list[str], Codes]:
        vocabulary = Vocabulary(
            "labels",
            "label_missing",
            self._limits,
            self._declared,
            optional=self._unlabelled,
            hint=" Rows that are meant to have none need `columns.unlabelled: true`.",
        )
        return self._encode(vocabulary, "y")

    def _encode(self, vocabulary: Vocabulary, role: str) -> tuple[list[str], Codes]:
        """Return the names of a column's values, and each row's number among them."""
        codes = [vocabulary.encode(getattr(part, role), f"columns.{role}") for part in self._parts]
        return vocabulary.names(), vocabulary.final(np.concatenate(codes))

    def _manifest(
        self,
        writer: MatrixWriter,
        arrays: dict[str, np.ndarray[Any, Any]],
        names: dict[str, list[str]],
    ) -> Manifest:
        stats = statistics(writer.digests, arrays, names)
        files = {"x": "x.npy", **{name: f"{name}.npy" for name in arrays}}
        if self._parts[0].id is not None:
            files["id"] = "ids.parquet"
        return {
            "modality": "embedding",
            "rows": writer.rows,
            "dim": writer.dim,
            "dtype": writer.dtype.name,
            "classes": names["classes"],
            "subdomains": names.get("subdomain"),
            "groups": len(names["group"]) if "group" in names else None,
            "splits": stats["splits"],
            "class_counts": stats["class_counts"],
            "unlabelled": stats["unlabelled"],
            "cell_counts": stats["cell_counts"],
            "columns": {name: {"file": file} for name, file in files.items()},
            "stats": {"rows": writer.rows, "dim": writer.dim, "dtype": writer.dtype.name, **stats},
        }
