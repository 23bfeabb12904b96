"""Where the vectors u(γ, κ) come from that stand for classes and subdomains."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from models.encoders.allowed import PACKAGED
from models.spec import Spec


class Fault(NamedTuple):
    """Why a spec does not fit its dataset, as a problem's code and sentence."""

    code: str
    detail: str


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

    model: Annotated[str, Field(min_length=1, max_length=200)] = PACKAGED
    """A text encoder that the service has; `GET /v1/methods` lists them."""


class DescriptionVectors(Spec):
    """A description of each through a text encoder: more semantics than a name has."""

    source: Literal["descriptions"]

    descriptions: Annotated[dict[str, _Text], Field(min_length=1, max_length=50_000)]
    """A sentence or more by name, for every class (or subdomain) of the dataset and no other. The
    encoder reads the first 256 tokens of each, some 180 words."""

    model: Annotated[str, Field(min_length=1, max_length=200)] = PACKAGED
    """A text encoder that the service has; `GET /v1/methods` lists them."""

    def fault(self, names: Iterable[str], noun: Literal["class", "subdomain"]) -> Fault | None:
        """Return what keeps these descriptions from being those of ``names``, or None."""
        every = list(names)
        unknown = sorted(set(self.descriptions) - set(every))
        if unknown:
            return Fault(
                f"unknown_{noun}",
                f"There is a description of {_some(unknown)}, which is no {noun} of the dataset.",
            )
        missing = [name for name in every if name not in self.descriptions]
        if missing:
            return Fault(
                "description_missing",
                f"There is no description of {_some(missing)}; each {noun} of the dataset needs one.",
            )
        return None


class UploadedVectors(Spec):
    """The caller's own vectors, which may carry any semantics."""

    source: Literal["upload"]

    upload: Annotated[str, Field(pattern=r"^up_[0-9a-f]{32}$")]
    """A complete upload. npz: arrays of one row a name, and `classes` (or `subdomains`, or `names`)
    with the names in that order. Parquet: a column `name` and a column of lists for each array.
    Every class (or subdomain) of the dataset must be among the names; others are passed over."""

    array: _Array | Annotated[tuple[_Array, ...], Field(min_length=1, max_length=8)] = "vectors"
    """Which array holds the vectors, row by row brought to length 1. Several are set side by side:
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


def _some(names: Sequence[str]) -> str:
    """Return the first name, and how many more there are."""
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"
