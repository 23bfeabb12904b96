"""Reads one file as the decoding process of a worker does, and says what came of it."""

import json
import shutil
from pathlib import Path
from typing import Any

from app.settings import Settings
from models.errors import InputProblem
from models.raw.audio import decode_audio, inspect_audio
from models.raw.image import decode_image, inspect_image
from models.raw.problem import ItemProblem
from tests.fuzz.seeds import Seed
from workers.decoder import READERS

LONGEST_DETAIL = 2000
_ITEMS = {"image": (inspect_image, decode_image), "audio": (inspect_audio, decode_audio)}


class Reading:
    """A seed's reader, over a folder that it may use."""

    def __init__(self, name: str, seed: Seed, folder: Path) -> None:
        self._seed, self._folder = seed, folder
        self._out = folder / "out"
        suffix = seed.request.get("format", "bin")
        self._path = folder / f"{'x' if name == 'npy' else name}.{suffix}"
        for other, data in seed.besides.items():
            (folder / other).write_bytes(data)
        paths = [*(folder / other for other in seed.besides), self._path]
        self._request: dict[str, Any] = {
            **seed.request,
            "files": [str(path) for path in paths],
            "filenames": [path.name for path in paths],
            "out": str(self._out),
            "max_array_bytes": Settings().max_array_bytes,
        }

    def of(self, data: bytes) -> str:
        """Return ``read``, or the code of the problem that the bytes are.

        Raises:
            Exception: whatever else came of them, which is a fault of the reader.
        """
        if self._seed.what in _ITEMS:
            return self._item(data)
        self._path.write_bytes(data)
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir()
        try:
            made = READERS[self._seed.what](self._request)
        except InputProblem as problem:
            return told(problem.code, problem.detail)
        json.dumps(made, allow_nan=False)  # as it goes back to the worker
        return "read"

    def _item(self, data: bytes) -> str:
        inspect, decode = _ITEMS[self._seed.what]
        try:
            inspect(data)
        except ItemProblem as problem:
            return told(problem.code, problem.detail)
        decode(data)  # what ingest took, a later job must be able to open
        return "read"


def told(code: str, detail: str) -> str:
    """Return the code of a problem that says something.

    Raises:
        ValueError: it says nothing, or more than anyone reads.
    """
    if not code or not detail or len(detail) > LONGEST_DETAIL:
        raise ValueError(
            f"a problem of code {code!r} says {len(detail)} characters: {detail[:300]}"
        )
    json.dumps(detail).encode()
    return code
