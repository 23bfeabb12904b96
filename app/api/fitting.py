"""Whether a spec fits the dataset that it names, as far as ingest has counted it."""

from collections.abc import Mapping
from typing import Any

from app.domain.problems import Invalid
from models.gelda.spec import GeldaSpec
from models.semantics.spec import DescriptionVectors, LearnedVectors

_TRAINABLE = ("train", "unassigned")


def check_fit(spec: GeldaSpec, manifest: Mapping[str, Any], stats: Mapping[str, Any]) -> None:
    """Refuse a spec that could only fail on this dataset.

    Raises:
        Invalid: ``no_subdomains``; ``class_without_rows``; ``description_missing``,
            ``unknown_class`` or ``unknown_subdomain`` of a description.
    """
    if spec.subdomains is not None and manifest.get("subdomains") is None:
        raise Invalid(
            "The dataset was made without a subdomain column (`columns.subdomain`).",
            code="no_subdomains",
            param="spec.subdomains",
        )
    _check_descriptions(spec, manifest)
    if isinstance(spec.classes, LearnedVectors):
        _check_rows(manifest["class_counts"], stats.get("class_counts_by_split"))


def _check_descriptions(spec: GeldaSpec, manifest: Mapping[str, Any]) -> None:
    fault, field = None, "classes"
    if isinstance(spec.classes, DescriptionVectors):
        fault = spec.classes.fault(manifest["classes"], "class")
    if fault is None and isinstance(spec.subdomains, DescriptionVectors):
        fault, field = spec.subdomains.fault(manifest["subdomains"], "subdomain"), "subdomains"
    if fault is not None:
        raise Invalid(fault.detail, code=fault.code, param=f"spec.{field}.descriptions")


def _check_rows(
    class_counts: Mapping[str, int], by_split: Mapping[str, Mapping[str, int]] | None
) -> None:
    """Refuse learned vectors where there is a class that nothing could be learned of."""
    for name, count in class_counts.items():
        rows = count
        if by_split is not None:
            rows = sum(by_split.get(split, {}).get(name, 0) for split in _TRAINABLE)
        if not rows:
            raise Invalid(
                f"Class {name!r} has no row that may be trained on, so that no vector of it can be "
                "learned; vectors that carry semantics (source names, descriptions or upload) can "
                "stand for a class that was never seen.",
                code="class_without_rows",
                param="spec.classes",
            )
