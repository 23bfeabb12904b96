"""Reading safetensors files with numpy alone: a length, a JSON header, then the tensors' bytes."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cultivar._exceptions import CultivarError

MAX_HEADER: Final = 100 << 20
_DTYPES: Final = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}

Tensors = dict[str, npt.NDArray[Any]]


def read_safetensors(path: Path) -> tuple[Tensors, Mapping[str, str]]:
    """Return the tensors by name, read-only, and the header's own metadata.

    Raises:
        CultivarError: the file is not in this format, or is cut off.
    """
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    if not 2 <= length <= min(MAX_HEADER, len(raw) - 8):
        raise CultivarError(f"{path.name} has no safetensors header")
    header = json.loads(raw[8 : 8 + length])
    metadata: Mapping[str, str] = header.pop("__metadata__", {})
    data = memoryview(raw)[8 + length :]
    return {name: _tensor(data, entry) for name, entry in header.items()}, metadata


def _tensor(data: memoryview, entry: dict[str, Any]) -> npt.NDArray[Any]:
    start, end = entry["data_offsets"]
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    shape = tuple(entry["shape"])
    if end - start != math.prod(shape) * dtype.itemsize or end > len(data):
        raise CultivarError("a safetensors header does not fit its data")
    return np.frombuffer(data[start:end], dtype=dtype).reshape(shape)
