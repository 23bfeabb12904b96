"""Vectors of classes and subdomains, and linear heads, from wherever a spec says they come."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.classifiers.spec import UploadedHead
from models.encoders.catalogue import available
from models.errors import InputProblem
from models.gelda.spec import GeldaSpec
from models.semantics.spec import (
    ClassVectors,
    DescriptionVectors,
    NameVectors,
    SubdomainVectors,
    UploadedVectors,
)
from workers.decoding import decode
from workers.pipelines.datasets import encoder_of
from workers.task import TaskRun

Vectors = npt.NDArray[np.float32]
Field = Literal["classes", "subdomains"]

_NOUNS: dict[Field, Literal["class", "subdomain"]] = {
    "classes": "class",
    "subdomains": "subdomain",
}
_INPUTS: dict[Field, str] = {"classes": "vectors", "subdomains": "subdomain_vectors"}


def class_vectors(task: TaskRun, source: ClassVectors, classes: Sequence[str]) -> Vectors | None:
    """Return (classes × m) vectors of length 1 that carry semantics.

    None where they are learned or one-hot, which is the generator's own affair.

    Raises:
        InputProblem: a class has no vector or no description, or the file is at fault.
    """
    return _vectors(task, source, classes, "classes")


def subdomain_vectors(
    task: TaskRun, source: SubdomainVectors | None, subdomains: Sequence[str]
) -> Vectors | None:
    """Return (subdomains × m) vectors of length 1, as `class_vectors` does.

    None as well where there is no source, and for `means`, which follow from latents.
    """
    return None if source is None else _vectors(task, source, subdomains, "subdomains")


def _vectors(
    task: TaskRun, source: ClassVectors | SubdomainVectors, names: Sequence[str], field: Field
) -> Vectors | None:
    match source:
        case NameVectors():
            return _encoded(names, source.template, source.model, field)
        case DescriptionVectors():
            fault = source.fault(names, _NOUNS[field])
            if fault is not None:
                raise InputProblem(fault.code, fault.detail, f"{field}.descriptions")
            texts = [source.descriptions[name] for name in names]
            return _encoded(texts, "{}", source.model, field)
        case UploadedVectors():
            return _uploaded(task, source, names, field)
        case _:
            return None


def _encoded(texts: Sequence[str], template: str, model: str, field: Field) -> Vectors:
    # Loads transformers, which takes seconds and which no other source needs.
    from models.encoders.text import encode_names  # noqa: PLC0415

    return np.asarray(encode_names(texts, template, model, param=f"{field}.model"))


def _uploaded(
    task: TaskRun, source: UploadedVectors, names: Sequence[str], field: Field
) -> Vectors:
    arrays = (source.array,) if isinstance(source.array, str) else source.array
    found = _decoded(
        task, _INPUTS[field], {"what": "vectors", "arrays": list(arrays), "field": field}
    )
    row = {name: number for number, name in enumerate(found["names"])}
    missing = [name for name in names if name not in row]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputProblem(
            f"{_NOUNS[field]}_vectors_mismatch",
            f"{task.claim.inputs[_INPUTS[field]]['filename']!r} has no vector for {_NOUNS[field]} "
            f"{missing[0]!r}{more}; it names {len(row)} {field}, the dataset has {len(names)}.",
            f"{field}.upload",
        )
    vectors: Vectors = np.load(found["file"], allow_pickle=False)
    return vectors[[row[name] for name in names]]


def uploaded_head(
    task: TaskRun,
    spec: UploadedHead,
    classes: Sequence[str],
    dim: int,
    *,
    param: str = "classifier.initial",
) -> tuple[Vectors, Vectors]:
    """Return weight (classes × dim) and bias (classes) of a head that came with the embeddings.

    Args:
        task: its claim has the upload under `head`.
        spec: which arrays of the file.
        classes: the dataset's; rows come in this order.
        dim: values of an embedding.
        param: the field of the spec, for errors.

    Raises:
        InputProblem: ``head_mismatch`` with the shape found and the one expected, or the file is
            at fault.
    """
    wanted = {"weight": spec.weight, "bias": spec.bias, "classes": list(classes), "dim": dim}
    found = _decoded(task, "head", {"what": "head", **wanted, "param": param})
    return (
        np.load(found["weight"], allow_pickle=False),
        np.load(found["bias"], allow_pickle=False),
    )


def _decoded(task: TaskRun, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Have the decoding process read the upload that the claim has under ``name``."""
    upload = task.claim.inputs[name]
    out = task.scratch / f"decoded-{name}"
    out.mkdir()
    file = {"files": [str(task.fetch(upload["sha256"]))], "filenames": [upload["filename"]]}
    return decode(task, request | file | {"out": str(out)})


def encoding_models(task: TaskRun) -> list[dict[str, str]]:
    """Return the foreign model that made the embeddings, with its licence, where it is known."""
    fingerprint = encoder_of(task).get("encoder")
    if fingerprint is None:
        return []
    name = fingerprint["id"]
    return [{"id": name, "role": "encoder of raw data", "licence": _licence(name)}]


def _licence(model: str) -> str:
    """Return a model's licence; long after it was used it may be gone from this machine."""
    found = available().get(model)
    return "as its source has it" if found is None else found.licence


def foreign_models(spec: GeldaSpec) -> list[dict[str, str]]:
    """Return the foreign models that have a part in the spec's vectors, with their licences."""
    sources = (spec.classes, spec.subdomains)
    named = [one.model for one in sources if isinstance(one, NameVectors | DescriptionVectors)]
    return [
        {
            "id": name,
            "role": "text encoder of names and descriptions",
            "licence": _licence(name),
        }
        for name in dict.fromkeys(named)
    ]
