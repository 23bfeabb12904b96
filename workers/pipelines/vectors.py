"""Class vectors from wherever a spec says they come."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.errors import InputProblem
from models.semantics.spec import ClassVectors, NameVectors, UploadedVectors
from workers.decoding import decode
from workers.task import TaskRun

Vectors = npt.NDArray[np.float32]


def class_vectors(task: TaskRun, source: ClassVectors, classes: Sequence[str]) -> Vectors | None:
    """Return (classes × m) vectors that carry semantics; None where the spec wants none."""
    if isinstance(source, NameVectors):
        # Loads transformers, which takes seconds and which no other source needs.
        from models.encoders.text import encode_names  # noqa: PLC0415

        return np.asarray(encode_names(list(classes), source.template, source.model))
    if isinstance(source, UploadedVectors):
        return _uploaded(task, source, classes)
    return None


def _uploaded(task: TaskRun, source: UploadedVectors, classes: Sequence[str]) -> Vectors:
    upload = task.claim.inputs["vectors"]
    out = task.scratch / "vectors"
    out.mkdir()
    found = decode(
        task,
        {
            "what": "vectors",
            "files": [str(task.fetch(upload["sha256"]))],
            "filenames": [upload["filename"]],
            "array": source.array,
            "out": str(out),
        },
    )
    vectors = np.load(Path(found["file"]), allow_pickle=False)
    rows = {name: row for row, name in enumerate(found["classes"])}
    missing = [name for name in classes if name not in rows]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputProblem(
            "class_vectors_mismatch",
            f"{upload['filename']!r} has no vector for class {missing[0]!r}{more}; it names "
            f"{len(rows)} classes, the dataset has {len(classes)}.",
            "classes.upload",
        )
    return np.asarray(vectors[[rows[name] for name in classes]], dtype=np.float32)
