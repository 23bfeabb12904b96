"""npz, npy and safetensors uploads as one source of named arrays."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple

from models.embeddings.column import VectorColumn
from models.embeddings.limits import Limits
from models.embeddings.npy import open_data, read_header
from models.embeddings.stored_array import StoredArray, check_claim
from models.embeddings.tensors import read_tensors
from models.embeddings.wording import show
from models.embeddings.zip_directory import Entry, read_directory
from models.embeddings.zip_entry import EntryStream
from models.errors import InputProblem

Opener = Callable[[], StoredArray]


class Upload(NamedTuple):
    """An untrusted file: where it lies, and what its owner calls it."""

    path: Path
    filename: str


class ArraySource:
    """All arrays of all files, in one namespace. Headers are read when a column is asked for."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._openers: dict[str, Opener] = {}
        self._lists: dict[str, str] = {}

    def add(self, name: str, opener: Opener) -> None:
        if name in self._openers:
            raise InputProblem(
                "duplicate_column", f"{self.where} has two arrays of name {show(name)}.", name
            )
        self._openers[name] = opener

    def add_lists(self, metadata: dict[str, str]) -> None:
        self._lists.update(metadata)

    def names(self) -> list[str]:
        return list(self._openers)

    def column(self, name: str) -> VectorColumn | None:
        opener = self._openers.get(name)
        return opener() if opener else None

    def class_names(self, name: str) -> list[str] | None:
        column = self.column(name)
        if column is not None:
            if column.kind not in ("text", "integer"):
                raise InputProblem(
                    "bad_classes",
                    f"{column.where} is {column.description}; expected the classes' names.",
                    name,
                )
            return [str(value) for block in column.values() for value in block]
        text = self._lists.get(name)
        return parse_names(text, name, self.where) if text is not None else None


def parse_names(text: str, name: str, where: str) -> list[str]:
    """Return the class names that metadata holds as a JSON list of strings.

    Raises:
        InputProblem: ``bad_classes``.
    """
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise InputProblem(
            "bad_classes",
            f"The metadata {show(name)} of {where} is {show(text)}; expected a JSON list of strings.",
            name,
        )
    return names


def open_npz(uploads: Sequence[Upload], limits: Limits, scratch: Path) -> ArraySource:
    """Return the arrays of .npz archives; what is not a .npy in them is never opened."""
    source = ArraySource(_together(uploads))
    for upload in uploads:
        for entry in read_directory(upload.path, upload.filename, limits):
            if entry.name.endswith(".npy"):
                name = entry.name.removesuffix(".npy")
                source.add(name, partial(_zipped, upload, entry, name, limits, scratch))
    return source


def _zipped(upload: Upload, entry: Entry, name: str, limits: Limits, scratch: Path) -> StoredArray:
    where = f"array {show(name)} of {show(upload.filename)}"
    stream = EntryStream(upload.path.open("rb"), upload.filename, entry)
    try:
        header = read_header(stream, where=where, param=name)
    finally:
        stream.close()
    held = entry.size - header.length
    check_claim(header.shape, header.dtype.itemsize, held, where=where, param=name, limits=limits)

    def open_entry() -> EntryStream:
        again = EntryStream(upload.path.open("rb"), upload.filename, entry)
        read_header(again, where=where, param=name)
        return again

    return StoredArray(
        name, where, header.dtype, header.shape, open_entry, limits, scratch, header.fortran
    )


def open_npy(
    uploads: Sequence[Upload], order: Sequence[str], limits: Limits, scratch: Path
) -> ArraySource:
    """Return .npy files under the names of their stems, or in order where no stem is ``order[0]``.

    ``order`` names the files, in the order of the uploads: embeddings, labels.
    """
    source = ArraySource(_together(uploads))
    names = [PurePath(upload.filename).stem for upload in uploads]
    if order[0] not in names:
        if len(uploads) > len(order):
            raise InputProblem(
                "column_missing",
                f"None of {len(uploads)} files is {show(order[0] + '.npy')}; more than two files are "
                f"told apart by name, and these are {', '.join(show(name) for name in names)}.",
                "columns.x",
            )
        names = list(order[: len(uploads)])
    for upload, name in zip(uploads, names, strict=True):
        source.add(name, partial(_plain, upload, name, limits, scratch))
    return source


def _plain(upload: Upload, name: str, limits: Limits, scratch: Path) -> StoredArray:
    where = f"array {show(name)} ({show(upload.filename)})"
    with upload.path.open("rb") as file:
        header = read_header(file, where=where, param=name)
    held = upload.path.stat().st_size - header.length
    check_claim(header.shape, header.dtype.itemsize, held, where=where, param=name, limits=limits)
    return StoredArray(
        name, where, header.dtype, header.shape, partial(open_data, upload.path, header.length),
        limits, scratch, header.fortran,
    )  # fmt: skip


def open_safetensors(uploads: Sequence[Upload], limits: Limits, scratch: Path) -> ArraySource:
    """Return the tensors of safetensors files; class names may be in their metadata."""
    source = ArraySource(_together(uploads))
    for upload in uploads:
        arrays, metadata = read_tensors(upload.path, upload.filename, limits, scratch)
        for name, array in arrays.items():
            source.add(name, lambda array=array: array)  # type: ignore[misc]
        source.add_lists(metadata)
    return source


def _together(uploads: Sequence[Upload]) -> str:
    return ", ".join(show(upload.filename) for upload in uploads)
