"""The .npy format (numpy.lib.format, versions 1 and 2): header first, and nothing ever unpickled."""

import ast
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.embeddings.stored_array import Stream
from models.embeddings.wording import show
from models.errors import InputProblem

# numpy's own writer stays below 128 bytes for the types that are taken here.
_MAX_HEADER = 4096
_DTYPE = re.compile(r"[<>|=]?([biufcmMSUVO])(\d{0,9})(\[\w{1,8}\])?")
_EXPECTED = "expected a header as numpy.save writes it"


class Header(NamedTuple):
    """What a .npy header says; ``length`` is its own, magic included, in bytes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    length: int


def read_header(stream: Stream, *, where: str, param: str) -> Header:
    """Return the header of the .npy that ``stream`` starts with.

    Raises:
        InputProblem: ``unsafe_pickle`` for object arrays, ``bad_npy``, ``truncated_file``,
            ``archive_too_large`` for an archive where an array should be.
    """
    start = _read(stream, 8, where, param)
    if start.startswith(b"PK\x03\x04"):
        raise InputProblem("archive_too_large", f"{where} is an archive within the archive.", param)
    if start[:6] != b"\x93NUMPY":
        raise _bad(where, param, f"it begins with {show(start)}, not with numpy's magic")
    if start[6] not in (1, 2):
        raise _bad(where, param, f"its format version is {start[6]}.{start[7]}, not 1 or 2")
    width, form = (2, "<H") if start[6] == 1 else (4, "<I")
    (length,) = struct.unpack(form, _read(stream, width, where, param))
    if length > _MAX_HEADER:
        raise _bad(where, param, f"its header claims {length:,} bytes of at most {_MAX_HEADER:,}")
    text = _read(stream, length, where, param).decode("latin-1")
    descr, fortran, shape = _parse(text, where, param)
    return Header(_dtype(descr, where, param), shape, fortran, 8 + width + length)


def open_data(path: Path, offset: int) -> Stream:
    """Return the file of an array, standing at its data."""
    file = path.open("rb")
    file.seek(offset)
    return file


def _read(stream: Stream, count: int, where: str, param: str) -> bytes:
    data = b""
    while len(data) < count:
        piece = stream.read(count - len(data))
        if not piece:
            raise InputProblem(
                "truncated_file", f"{where} ends within its .npy header; {_EXPECTED}.", param
            )
        data += piece
    return data


def _parse(text: str, where: str, param: str) -> tuple[object, bool, tuple[int, ...]]:
    try:
        fields = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise _bad(where, param, f"its header is {show(text)}") from None
    if not isinstance(fields, dict) or fields.keys() != {"descr", "fortran_order", "shape"}:
        raise _bad(where, param, f"its header is {show(text)}")
    shape, fortran = fields["shape"], fields["fortran_order"]
    # bool is an int to Python, and True a shape to nobody.
    good = isinstance(shape, tuple) and len(shape) <= 32 and isinstance(fortran, bool)
    if not good or not all(type(axis) is int and 0 <= axis < 2**63 for axis in shape):
        raise _bad(where, param, f"its shape is {show(shape)}")
    return fields["descr"], fortran, shape


def _dtype(descr: object, where: str, param: str) -> np.dtype[Any]:
    match = _DTYPE.fullmatch(descr) if isinstance(descr, str) else None
    if (match and match[1] == "O") or (isinstance(descr, list) and "'|O" in str(descr)):
        raise InputProblem(
            "unsafe_pickle",
            f"{where} is an object array, which is a pickle that can run code and is never opened; "
            "store numbers or fixed-width text (names.astype('U')).",
            param,
        )
    if match is None:
        raise _bad(where, param, f"its type is {show(descr)}; expected one plain type an array")
    try:
        dtype = np.dtype(str(descr))
    except (TypeError, ValueError):
        raise _bad(where, param, f"its type is {show(descr)}") from None
    if dtype.itemsize == 0:  # any number of rows would fit into no bytes
        raise _bad(where, param, f"its type {show(descr)} has no width")
    return dtype


def _bad(where: str, param: str, found: str) -> InputProblem:
    return InputProblem("bad_npy", f"{where} is no readable .npy: {found}; {_EXPECTED}.", param)
