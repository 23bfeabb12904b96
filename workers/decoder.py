"""The decoding process: opens files that nobody trusts, within limits, and ends.

`python -m workers.decoder PARENT` reads one request from standard input and writes its reply into
a file. It never loads torch. What a bad file does to it (memory, time, a crash) stays in it.
"""

import errno
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

from models.embeddings.array_files import Upload
from models.embeddings.canonical import read_embeddings
from models.embeddings.head import read_head
from models.embeddings.limits import Limits
from models.embeddings.spec import Columns
from models.embeddings.vectors import read_vectors
from models.errors import InputProblem
from workers.disk import refusal
from workers.orphans import die_with_parent, prefer_as_victim

_OPEN_FILES = 256
_ROOM_FOR_CODE = 1 << 30
"""Address space of interpreter, libraries and threads' stacks beside the decoded data."""


def limit_resources(memory_bytes: int, seconds: float, file_bytes: int) -> None:
    """Bound memory, processor time, open files and written bytes of this process, for good."""
    for what, limit in (
        (resource.RLIMIT_DATA, memory_bytes + _ROOM_FOR_CODE),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        wanted = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (wanted, wanted))


def _embeddings(request: dict[str, Any]) -> dict[str, Any]:
    return read_embeddings(
        [Path(path) for path in request["files"]],
        request["filenames"],
        format=request["format"],
        columns=Columns.model_validate(request["columns"]),
        limits=Limits(max_array_bytes=request["max_array_bytes"]),
        out=Path(request["out"]),
    )


def _raw(request: dict[str, Any]) -> dict[str, Any]:
    # Embeddings need not wait for what decodes images and sound.
    from models.raw.canonical import read_raw  # noqa: PLC0415
    from models.raw.limits import RawLimits  # noqa: PLC0415
    from models.raw.spec import RawColumns  # noqa: PLC0415

    return read_raw(
        [Path(path) for path in request["files"]],
        request["filenames"],
        modality=request["modality"],
        format=request["format"],
        columns=RawColumns.model_validate(request["columns"]),
        limits=RawLimits(max_array_bytes=request["max_array_bytes"]),
        out=Path(request["out"]),
    )


def _vectors(request: dict[str, Any]) -> dict[str, Any]:
    """Write the vectors of one file as float32; return where, and the names of their rows."""
    (path,), (filename,) = request["files"], request["filenames"]
    out = Path(request["out"])
    names, vectors = read_vectors(
        Upload(Path(path), filename),
        arrays=request["arrays"],
        field=request["field"],
        limits=Limits(max_array_bytes=request["max_array_bytes"]),
        scratch=out,
    )
    return {"file": _saved(out / "vectors.npy", vectors), "names": names}


def _head(request: dict[str, Any]) -> dict[str, Any]:
    """Write weights and biases of one file as float32; return where."""
    (path,), (filename,) = request["files"], request["filenames"]
    out = Path(request["out"])
    head = read_head(
        Upload(Path(path), filename),
        **{name: request[name] for name in ("weight", "bias", "classes", "dim", "param")},
        limits=Limits(max_array_bytes=request["max_array_bytes"]),
        scratch=out,
    )
    return {name: _saved(out / f"{name}.npy", array) for name, array in head._asdict().items()}


def _saved(path: Path, array: np.ndarray[Any, Any]) -> str:
    np.save(path, array, allow_pickle=False)
    return str(path)


READERS = {"embeddings": _embeddings, "raw": _raw, "vectors": _vectors, "head": _head}


def main(parent: int) -> None:
    die_with_parent(parent)
    prefer_as_victim()
    request = json.load(sys.stdin)
    limit_resources(request["memory_bytes"], request["seconds"], 2 * request["max_array_bytes"])
    reply: dict[str, Any]
    try:
        reply = {"ok": READERS[request["what"]](request)}
    except InputProblem as problem:
        reply = {"problem": [problem.code, problem.detail, problem.param]}
    except MemoryError:
        reply = {"problem": ["array_too_large", _too_large(request["memory_bytes"]), None]}
    except OSError as error:
        reply = {"errno": refusal(error) or error.errno}
    os._exit(_answer(Path(request["reply"]), reply))


def _answer(path: Path, reply: dict[str, Any]) -> int:
    """Leave the reply where it is looked for; return the exit status, which is all that a bad disk lets out.

    Raises:
        OSError: it is not the disk's fault; to try again would not help.
    """
    draft = path.with_suffix(".part")
    try:
        draft.write_text(json.dumps(reply))
        draft.rename(path)
    except OSError as error:
        match refusal(error):
            case errno.ENOSPC:
                return os.EX_CANTCREAT
            case errno.EIO:
                return os.EX_IOERR
        raise
    return 0


def _too_large(memory_bytes: int) -> str:
    return f"Reading it takes more than the {memory_bytes:,} bytes of memory that decoding may use."


if __name__ == "__main__":
    main(int(sys.argv[1]))
