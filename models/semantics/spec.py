"""Where the vectors u(γ, κ) come from that stand for classes and subdomains."""

from typing import Annotated, Literal

from pydantic import Field

from models.spec import Spec

_Text = Annotated[str, Field(min_length=1, max_length=2000)]
_Array = Annotated[str, Field(min_length=1, max_length=100)]


class LearnedVectors(Spec):
    """A vector each, trained with the denoiser. Carries no semantics; needs rows of each."""

    source: Literal["learned"] = "learned"


class OneHotVectors(Spec):
    """Orthogonal vectors, the control without semantics."""

    source: Literal["one_hot"]


class NameVectors(Spec):
    """Their names through a text encoder."""

    source: Literal["names"]

    template: Annotated[str, Field(min_length=2, max_length=500, pattern=r"\{\}")] = "{}"
    """Where the name goes, as in ``a photo of a {}``."""

    model: Annotated[str, Field(min_length=1, max_length=200)] = "all-MiniLM-L6-v2"
    """A text encoder that the service has; `GET /v1/methods` lists them."""


class DescriptionVectors(Spec):
    """A description of each through a text encoder: more semantics than a name has."""

    source: Literal["descriptions"]

    descriptions: Annotated[dict[str, _Text], Field(min_length=1, max_length=50_000)]
    """A sentence or more by name, for every class (or subdomain) of the dataset."""

    model: Annotated[str, Field(min_length=1, max_length=200)] = "all-MiniLM-L6-v2"
    """A text encoder that the service has; `GET /v1/methods` lists them."""


class UploadedVectors(Spec):
    """The caller's own vectors, which may carry any semantics."""

    source: Literal["upload"]

    upload: Annotated[str, Field(pattern=r"^up_[0-9a-f]{32}$")]
    """A complete upload. npz: arrays of one row a name, and `classes` (or `subdomains`) with the names
    in that order. Parquet: a column `name` and a column of lists for each array."""

    array: _Array | Annotated[tuple[_Array, ...], Field(min_length=1, max_length=8)] = "vectors"
    """Which array holds the vectors. Several are brought to length 1 one by one and set side by side:
    their similarities are averaged."""


class MeanVectors(Spec):
    """The mean latent of each subdomain's rows, those without a label included."""

    source: Literal["means"]


ClassVectors = Annotated[
    LearnedVectors | OneHotVectors | NameVectors | DescriptionVectors | UploadedVectors,
    Field(discriminator="source"),
]

SubdomainVectors = Annotated[
    LearnedVectors
    | OneHotVectors
    | NameVectors
    | DescriptionVectors
    | UploadedVectors
    | MeanVectors,
    Field(discriminator="source"),
]
