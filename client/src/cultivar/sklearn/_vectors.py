"""Class vectors in the forms in which a caller has them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def read_vectors(given: Any, labels: Sequence[Any]) -> tuple[Vectors | None, dict[str, Any] | None]:
    """Return (K × m unit vectors, None) or (None, the spec's `classes`); (None, None) for None.

    Args:
        given: ``"names"``, ``"one_hot"``, an array with a row a class in the order of ``labels``, or
            a mapping from labels, or their names, to vectors or to descriptions.
        labels: the classes' labels, sorted.

    Raises:
        ValueError: a class has no entry, or the vectors are no finite matrix.
    """
    if given is None:
        return None, None
    if isinstance(given, str):
        return None, {"source": given}
    if not isinstance(given, Mapping):
        return _matrix(given, labels), None
    entries = [_entry(given, label) for label in labels]
    if all(isinstance(entry, str) for entry in entries):
        texts = {str(label): text for label, text in zip(labels, entries, strict=True)}
        return None, {"source": "descriptions", "descriptions": texts}
    for label, entry in zip(labels, entries, strict=True):
        if isinstance(entry, str) or np.shape(entry) != np.shape(entries[0]):
            raise ValueError(
                "class_vectors: expected vectors of one length, or descriptions, for all classes; "
                f"found {_told(entries[0])} for {labels[0]!r} and {_told(entry)} for {label!r}"
            )
    return _matrix(entries, labels), None


def _entry(given: Mapping[Any, Any], label: Any) -> Any:
    for key in (label, str(label)):
        if key in given:
            return given[key]
    raise ValueError(
        f"class_vectors: class {label!r} has no entry; there are {len(given)}, for "
        f"{', '.join(repr(key) for key in list(given)[:5])}{' …' if len(given) > 5 else ''}"
    )


def _matrix(given: Any, labels: Sequence[Any]) -> Vectors:
    found = np.asarray(given, dtype=np.float32)
    if found.ndim != 2 or len(found) != len(labels) or not found.shape[1]:
        raise ValueError(
            f"class_vectors: expected a vector for each of the {len(labels)} classes in y, sorted; "
            f"found an array of shape {found.shape}"
        )
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        label = labels[int(np.argmin(finite))]
        raise ValueError(f"class_vectors: the vector of class {label!r} is not finite")
    # As a service does with uploaded ones, so that both ways see the same vectors.
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(lengths, 1e-12), dtype=np.float32)


def _told(entry: Any) -> str:
    return "a description" if isinstance(entry, str) else f"shape {np.shape(entry)}"
