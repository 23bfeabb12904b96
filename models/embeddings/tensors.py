"""The safetensors format: a length, a JSON header, and bytes that it must describe without a gap.

Source: github.com/huggingface/safetensors, README, "Format". Read here because the library maps
the file and knows no limits.
"""

import json
import math
import struct
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.embeddings.limits import Limits, MiB
from models.embeddings.npy import open_data
from models.embeddings.stored_array import StoredArray, check_claim
from models.embeddings.wording import show, size
from models.errors import InputProblem

_MAX_HEADER = 16 * MiB
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "|b1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1",
}  # fmt: skip


class Tensors(NamedTuple):
    """The tensors of one file, and the strings of its ``__metadata__``."""

    arrays: dict[str, StoredArray]
    metadata: dict[str, str]


def read_tensors(path: Path, filename: str, limits: Limits, scratch: Path) -> Tensors:
    """Return the tensors that a safetensors file declares, held against its real length.

    Raises:
        InputProblem: ``bad_safetensors``, ``array_too_large``, ``archive_too_many_entries``.
    """
    header, start = _read_header(path, filename)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _bad(filename, "its __metadata__ is not a map of strings")
    if len(header) > limits.max_entries:
        raise InputProblem(
            "archive_too_many_entries",
            f"{show(filename)} has {len(header):,} tensors; at most {limits.max_entries:,} are taken.",
            filename,
        )
    arrays: dict[str, StoredArray] = {}
    spans: list[tuple[int, int]] = []
    held = path.stat().st_size - start
    for name, value in header.items():
        kind, shape, (begin, end) = _entry(name, value, filename)
        where = f"tensor {show(name)} of {show(filename)}"
        dtype = np.dtype(_TYPES[kind])
        if math.prod(shape) * dtype.itemsize > limits.max_array_bytes:
            check_claim(shape, dtype.itemsize, end - begin, where=where, param=name, limits=limits)
        if end > held or math.prod(shape) * dtype.itemsize != end - begin:
            raise _bad(
                filename,
                f"tensor {show(name)} claims {kind} of shape {show(shape)[1:-1]} at bytes {begin:,} "
                f"to {end:,}, which does not fit itself or the {size(held)} of data",
            )
        spans.append((begin, end))
        arrays[name] = StoredArray(
            name, where, dtype, shape, partial(open_data, path, start + begin), limits, scratch,
            bfloat16=kind == "BF16",
        )  # fmt: skip
    _check_spans(sorted(spans), held, filename)
    return Tensors(arrays, metadata)


def _read_header(path: Path, filename: str) -> tuple[dict[str, Any], int]:
    total = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        if len(first) < 8:
            raise _bad(filename, f"it has {total} bytes, not even the header's length")
        (length,) = struct.unpack("<Q", first)
        if length > min(_MAX_HEADER, total - 8):
            raise _bad(filename, f"its header claims {length:,} bytes, the file has {total:,}")
        text = file.read(length)
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _bad(filename, f"its header is no JSON object ({show(error)[1:-1]})") from None
    if not isinstance(header, dict):
        raise _bad(filename, "its header is no JSON object")
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name is there twice")
    return names


def _entry(name: str, value: object, filename: str) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise _bad(filename, f"tensor {show(name)} is not described by dtype, shape, data_offsets")
    kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _bad(filename, f"tensor {show(name)} has type {show(kind)}; known are {[*_TYPES]}")
    if not _naturals(shape) or len(shape) > 32:
        raise _bad(filename, f"tensor {show(name)} has shape {show(shape)}")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _bad(filename, f"tensor {show(name)} has data_offsets {show(offsets)}")
    return kind, tuple(shape), (offsets[0], offsets[1])


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 2**63 for item in value
    )


def _check_spans(spans: list[tuple[int, int]], held: int, filename: str) -> None:
    ends = [(0, 0), *spans, (held, held)]
    for (_, end), (begin, _) in pairwise(ends):
        if begin != end:
            what = "overlap" if begin < end else "leave a gap"
            raise _bad(filename, f"its tensors {what} at byte {begin:,} of {held:,}")


def _bad(filename: str, found: str) -> InputProblem:
    return InputProblem(
        "bad_safetensors",
        f"{show(filename)} is no sound safetensors file: {found}. "
        "Expected what safetensors.save_file writes.",
        filename,
    )
