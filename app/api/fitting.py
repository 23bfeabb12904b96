"""Whether a spec fits the dataset or the generator that it names, as far as they are known."""

from collections.abc import Mapping
from typing import Any

from app.api.known_rows import trainable
from app.domain.problems import Invalid
from app.domain.specs import AliaSpec, EmbedSpec, GlicoSpec, Method, SampleSpec
from models.alia import descriptions
from models.classifiers.spec import ClassifierSpec
from models.errors import InputProblem
from models.gelda.spec import GeldaSpec, OutputSpec
from models.glico.spec import ImageOutputSpec
from models.semantics.spec import DescriptionVectors, LearnedVectors

OnDataset = AliaSpec | GeldaSpec | GlicoSpec | ClassifierSpec | EmbedSpec
"""Specs that name a dataset."""


def check_modality(spec: OnDataset, modality: str, param: str) -> None:
    """Refuse a dataset whose rows are not what the spec works on.

    Raises:
        Invalid: ``input_unsuitable``, with the field that names the dataset.
    """
    wrong = _wrong_rows(spec, modality)
    if wrong is not None:
        raise Invalid(wrong, code="input_unsuitable", param=param)


def _wrong_rows(spec: OnDataset, modality: str) -> str | None:
    embedded = modality == "embedding"
    match spec:
        case AliaSpec() | GlicoSpec() if embedded:
            return f"Its rows are embeddings, and {_on_images(spec)}: a gelda job takes them."
        case AliaSpec() | GlicoSpec() if modality != "image":
            return (
                f"Its rows are {modality}, and {_on_images(spec)}: a gelda job takes {modality} "
                "with an `encoder`."
            )
        case AliaSpec() | GlicoSpec():
            return None
        case EmbedSpec() | GeldaSpec() if spec.encoder is not None:
            told = "Its rows are embeddings already, which no encoder reads: leave `encoder` out."
            return told if embedded else None
        case _ if embedded:
            return None
        case _:
            return (
                f"Its rows are raw ({modality}), not embeddings: a gelda job takes them "
                "with an `encoder`, and an embed job makes embeddings of them."
            )


def _on_images(spec: AliaSpec | GlicoSpec) -> str:
    return "alia edits images" if isinstance(spec, AliaSpec) else "glico learns from images"


def check_fit(
    spec: AliaSpec | GeldaSpec | GlicoSpec, manifest: Mapping[str, Any], stats: Mapping[str, Any]
) -> None:
    """Refuse a spec that could only fail on this dataset.

    Raises:
        Invalid: ``no_subdomains``; ``class_without_rows``; ``description_missing``,
            ``unknown_class`` or ``unknown_subdomain`` of a description; ``too_few_images``;
            ``single_class``; ``bad_description`` of an edit.
    """
    counts = trainable(manifest, stats)
    if isinstance(spec, AliaSpec):
        _check_sources(counts)
        _check_domains(spec, manifest)
        return
    if isinstance(spec, GlicoSpec):
        _check_images(counts)
        return
    if spec.subdomains is not None and manifest.get("subdomains") is None:
        raise Invalid(
            "The dataset was made without a subdomain column (`columns.subdomain`).",
            code="no_subdomains",
            param="spec.subdomains",
        )
    _check_descriptions(spec, manifest)
    if isinstance(spec.classes, LearnedVectors):
        _check_rows(counts)


def check_generator(spec: SampleSpec, method: Method) -> None:
    """Refuse a field that generators of this method have no use for.

    Raises:
        Invalid: ``not_of_this_method``.
    """
    other = _of_the_other_method(spec, method)
    if other is not None:
        field, wrong = other
        raise Invalid(wrong, code="not_of_this_method", param=f"spec.{field}")


def _of_the_other_method(spec: SampleSpec, method: Method) -> tuple[str, str] | None:
    """Return a field, and what is wrong with it; None where all that was given is of use."""
    if method == "glico" and spec.sampler is not None:
        told = "A GLICO generator has no solver; `interpolation` says how it makes images."
        return "sampler", told
    if method == "gelda" and spec.interpolation is not None:
        told = "A GeLDA generator interpolates nothing; `sampler` says how it draws latents."
        return "interpolation", told
    if method == "glico" and isinstance(spec.output, OutputSpec):
        found = spec.output.format
        return "output.format", f"The generator makes images: expected imagefolder, found {found}."
    if method == "gelda" and isinstance(spec.output, ImageOutputSpec):
        told = (
            "The generator makes latents: expected npz, parquet or safetensors, found imagefolder."
        )
        return "output.format", told
    return None


def _check_images(counts: Mapping[str, int]) -> None:
    """Refuse a dataset of which no image can be made: each is made of two of one class."""
    most = max(counts, key=counts.__getitem__, default=None)
    if most is None or counts[most] < 2:
        found = "no image" if most is None or not counts[most] else f"1 image of {most!r} at most"
        raise Invalid(
            f"An image is made of two or more of one class; found {found} that may be trained on.",
            code="too_few_images",
            param="spec.dataset",
        )


def _check_sources(counts: Mapping[str, int]) -> None:
    """Refuse a dataset of which nothing can be edited, or no classifier be trained."""
    seen = [name for name, count in counts.items() if count]
    if not seen:
        raise Invalid(
            "An edit is made of an image that may be trained on; found none.",
            code="too_few_images",
            param="spec.dataset",
        )
    if len(seen) == 1:
        raise Invalid(
            "A classifier tells two classes or more apart; of the images that may be trained on, all "
            f"are of {seen[0]!r}.",
            code="single_class",
            param="spec.dataset",
        )


def _check_domains(spec: AliaSpec, manifest: Mapping[str, Any]) -> None:
    """Refuse descriptions that images cannot be edited into, such as one with a class written out."""
    prefix = spec.summarise.prefix
    try:
        descriptions.check(
            spec.descriptions or (), list(manifest["class_counts"]), "spec.descriptions", prefix
        )
    except InputProblem as problem:
        raise Invalid(problem.detail, code=problem.code, param=problem.param) from problem


def _check_descriptions(spec: GeldaSpec, manifest: Mapping[str, Any]) -> None:
    fault, field = None, "classes"
    if isinstance(spec.classes, DescriptionVectors):
        fault = spec.classes.fault(manifest["classes"], "class")
    if fault is None and isinstance(spec.subdomains, DescriptionVectors):
        fault, field = spec.subdomains.fault(manifest["subdomains"], "subdomain"), "subdomains"
    if fault is not None:
        raise Invalid(fault.detail, code=fault.code, param=f"spec.{field}.descriptions")


def _check_rows(counts: Mapping[str, int]) -> None:
    """Refuse learned vectors where there is a class that nothing could be learned of."""
    for name, count in counts.items():
        if not count:
            raise Invalid(
                f"Class {name!r} has no row that may be trained on, so that no vector of it can be "
                "learned; vectors that carry semantics (source names, descriptions or upload) can "
                "stand for a class that was never seen.",
                code="class_without_rows",
                param="spec.classes",
            )
