"""The spec union: what `POST /v1/jobs` takes, and which other resources a spec names."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from models.alia.spec import AliaSpec
from models.classifiers.spec import ClassifierSpec
from models.embeddings.spec import Columns
from models.encoders.spec import EmbedSpec
from models.evaluation.spec import EvaluateSpec, ReleaseSpec
from models.gelda.spec import GeldaSpec, OutputSpec, SamplerSpec
from models.glico.spec import GlicoSpec, ImageOutputSpec, InterpolationSpec
from models.planning.spec import PlanSpec
from models.raw.spec import RawColumns, RawFormat
from models.spec import Spec

RawModality = Literal["image", "audio", "text"]
Modality = Literal["embedding", "image", "audio", "text"]
Method = Literal["gelda", "glico"]
"""A way to train generators; also the kind of the jobs that do."""

DatasetFormat = Literal["npz", "npy", "safetensors", "parquet", "arrow"]


class IngestSpec(Spec):
    """Read, validate and canonicalise uploads. Made by `POST /v1/datasets`, never by a client."""

    kind: Literal["ingest"] = "ingest"
    dataset: str
    """The dataset it makes."""

    uploads: tuple[str, ...]
    """Complete uploads, in the order given."""

    modality: Modality = "embedding"
    """What a row is."""

    format: DatasetFormat | RawFormat
    """How the files are written."""

    columns: Columns | RawColumns
    """Which array or column holds what; `RawColumns` but for embeddings."""


class SampleSpec(Spec):
    """Draw more from a generator that a job has trained, or is about to train."""

    kind: Literal["sample"] = "sample"
    generator: Annotated[str, Field(pattern=r"^(gen|job)_[0-9a-f]{32}$")]
    """A generator, or the (unfinished) job that makes one."""

    plan: PlanSpec
    """How many; `raise_to`, `match` and `multiply` count the rows the generator was trained on."""

    sampler: SamplerSpec | None = None
    """GeLDA's solver; by default the settings that the generator's job ended with."""

    interpolation: InterpolationSpec | None = None
    """GLICO's way from image to image; by default that of the generator's job."""

    output: Annotated[OutputSpec | ImageOutputSpec, Field(discriminator="format")] | None = None
    """File format; by default npz for latents, and an imagefolder for images."""


RequestedSpec = GeldaSpec | GlicoSpec | AliaSpec | SampleSpec | ClassifierSpec | EmbedSpec
JobSpec = Annotated[RequestedSpec, Field(discriminator="kind")]

AnySpec = RequestedSpec | IngestSpec
_any_spec: TypeAdapter[AnySpec] = TypeAdapter(Annotated[AnySpec, Field(discriminator="kind")])


def parse_spec(value: dict[str, object]) -> AnySpec:
    """Return the spec that a job's row holds as JSON."""
    return _any_spec.validate_python(value)


__all__ = [
    "AliaSpec",
    "AnySpec",
    "Columns",
    "DatasetFormat",
    "EmbedSpec",
    "EvaluateSpec",
    "GlicoSpec",
    "IngestSpec",
    "JobSpec",
    "Method",
    "Modality",
    "RawColumns",
    "RawFormat",
    "RawModality",
    "ReleaseSpec",
    "RequestedSpec",
    "SampleSpec",
    "parse_spec",
]
