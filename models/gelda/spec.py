"""GeLDA's spec: conditional diffusion in a foundation model's latent space.

Source: Bae & Kim 2026, Semantics-Aware Generative Latent Data Augmentation. What the paper's
abstract states is named so; the rest is our inference and is measured in `benchmarks`.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from models.classifiers.spec import HeadSpec
from models.front.spec import AdapterSpec, PreparationSpec
from models.gelda import counting
from models.semantics.spec import ClassVectors, LearnedVectors, SubdomainVectors
from models.spec import Spec

_Key = TypeVar("_Key")


class LatentSpec(Spec):
    """How the generator models latents Z^(l)."""

    model: Literal["residual", "direct"] = "residual"
    """`residual` models whitened residuals around class means; `direct` the latents themselves."""

    estimate: Literal["auto", "similar", "ridge"] = "auto"
    """What the class vectors say about a class's mean: the mean of classes with like vectors
    (softmax of cosines), or kernel ridge regression on the vectors. `auto` takes the one that tells
    the means of seen classes better when each is left out."""

    shrinkage: Annotated[float, Field(ge=0, le=1000)] = 3.0
    """How far means of scarce classes are drawn to those of classes with like vectors, or to the
    middle where vectors are learned. 1 is the empirical Bayes estimate, 0 takes every mean as it is;
    latents of an encoder that was trained on the very rows need more, 10 to 15. `residual` only."""


class DenoiserSpec(Spec):
    """Residual MLP with adaLN-Zero (Peebles & Xie 2023), as in MAR's diffusion head (Li et al. 2024)."""

    width: Annotated[int, Field(ge=32, le=4096)] | None = None
    """Units a layer; by default max(256, 2 × latent dim), at most 1536."""

    blocks: Annotated[int, Field(ge=1, le=24)] | None = None
    """Residual blocks; by default 3 to 6 by the number of rows."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout inside the blocks."""


class ObjectiveSpec(Spec):
    """Rectified flow (Liu et al. 2023) with logit-normal time (Esser et al. 2024), and its optimiser."""

    output: Literal["velocity", "x0"] = "velocity"
    """What the network predicts, and so where its error is measured."""

    drop_class: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    """Probability of training without the class vector γ, for classifier-free guidance (stated)."""

    drop_subdomain: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    """The same for the subdomain vector κ, independently: the flow also learns to do without either."""

    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Optimiser steps; by default from the number of rows."""

    batch_size: Annotated[int, Field(ge=1, le=65536)] = 256
    """Rows a step."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Peak rate of AdamW, warmed up, with cosine decay."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    """Decoupled weight decay."""

    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Final decay of the weights' moving average, which ramps up to it."""

    patience: Annotated[int, Field(ge=1, le=1000)] | None = 5
    """Stop against memorisation: after so many looks at held-out rows (a look every twentieth of the
    steps) without a lower loss, training ends and the best average is taken. null never stops."""

    checkpoint_steps: Annotated[int, Field(ge=1)] = 500
    """Steps between checkpoints: the most work that a lost worker can cost."""


class SamplerSpec(Spec):
    """How latents are drawn from the trained flow."""

    name: Literal["heun", "dpmpp_2m"] = "heun"
    """Heun's method (Karras et al. 2022) or DPM-Solver++(2M) (Lu et al. 2022)."""

    steps: Annotated[int, Field(ge=1, le=1000)] = 10
    """Solver steps."""

    guidance: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Guidance scale of the class vector γ; 1 is none, 0 draws without it."""

    guidance_subdomain: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Guidance scale of the subdomain vector κ; 1 is none, 0 draws without it."""

    guidance_interval: tuple[
        Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]
    ] = (0.0, 1.0)
    """Times of the flow (1 is noise, 0 is data) between which guidance other than 1 applies."""

    temperature: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    """Factor on the variance of the initial noise; `evaluate` replaces it by the one it chooses."""


MAX_PLANNED_ROWS = 10_000_000
"""Synthetic rows of one job, all classes and cells together; more are several `sample` jobs."""


class CellCount(Spec):
    """Rows to make of a cell: a class in a subdomain, of which there may be no example at all."""

    label: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """The class; null stands for every class."""

    subdomain: Annotated[str, Field(min_length=1, max_length=500)]
    """The subdomain."""

    rows: Annotated[int, Field(ge=0, le=10_000_000)]
    """How many of it; of each class where `label` is null."""


class PlanSpec(Spec):
    """How many latents of each class to make, at most 10,000,000 in all. Exactly one of the fields."""

    raise_to: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Raise every class to this many rows, real and synthetic together."""

    per_class: (
        Annotated[int, Field(ge=0, le=10_000_000)]
        | dict[str, Annotated[int, Field(ge=0, le=10_000_000)]]
        | None
    ) = None
    """This many synthetic rows for each class, or by class name (others get none)."""

    match: Literal["largest", "median"] | None = None
    """Raise every class to the size of the largest, or of the median one."""

    multiply: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """This many synthetic rows for each real one."""

    cells: Annotated[tuple[CellCount, ...], Field(min_length=1, max_length=10_000)] | None = None
    """These cells alone, rows of the same cell added up; needs `subdomains`. The other rules treat
    every cell of a job with subdomains as they would a class, cells without a row included."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = ", ".join(given) if given else "none"
            raise ValueError(
                f"exactly one of raise_to, per_class, match, multiply and cells is needed; found {found}"
            )
        return self

    def unknown_classes(self, class_counts: Mapping[str, int]) -> list[str]:
        """Return the classes that the plan names and the dataset has not, sorted."""
        named = set(self.per_class) if isinstance(self.per_class, dict) else set()
        named |= {cell.label for cell in self.cells or () if cell.label is not None}
        return sorted(named - set(class_counts))

    def unknown_subdomains(self, subdomains: Collection[str]) -> list[str]:
        """Return the subdomains that the plan names and the dataset has not, sorted."""
        return sorted({cell.subdomain for cell in self.cells or ()} - set(subdomains))

    def too_large(self, class_counts: Mapping[str, int]) -> str | None:
        """Return a sentence where the plan asks for more rows than a job may make."""
        return self._excess(sum(self.counts(class_counts).values()))

    def cells_too_large(
        self,
        classes: Sequence[str],
        subdomains: Sequence[str],
        counts: Mapping[str, Mapping[str, int]],
    ) -> str | None:
        """Return a sentence where the plan asks for more rows of cells than a job may make."""
        wanted = self.cell_counts(classes, subdomains, counts)
        return self._excess(sum(sum(rows.values()) for rows in wanted.values()))

    @staticmethod
    def _excess(total: int) -> str | None:
        if total <= MAX_PLANNED_ROWS:
            return None
        return f"The plan asks for {total:,} rows; one job makes at most {MAX_PLANNED_ROWS:,}."

    def counts(self, class_counts: Mapping[str, int]) -> dict[str, int]:
        """Return how many synthetic rows of each class are asked for, without subdomains.

        Args:
            class_counts: real training rows a class; a class without rows counts 0.

        Raises:
            ValueError: the plan is one of cells.
        """
        if self.cells is not None:
            raise ValueError("a plan of cells needs subdomains")
        if isinstance(self.per_class, dict):
            return {name: self.per_class.get(name, 0) for name in class_counts}
        return self._by_rule(class_counts)

    def cell_counts(
        self,
        classes: Sequence[str],
        subdomains: Sequence[str],
        counts: Mapping[str, Mapping[str, int]],
    ) -> dict[str, dict[str, int]]:
        """Return how many synthetic rows of each class in each subdomain are asked for.

        Args:
            classes: names, in order.
            subdomains: names, in order.
            counts: real training rows by class and subdomain; what is missing counts 0.
        """
        wanted: Counter[counting.Cell] = Counter()
        if self.cells is not None:
            for cell in self.cells:
                for label in classes if cell.label is None else (cell.label,):
                    wanted[label, cell.subdomain] += cell.rows
        elif isinstance(self.per_class, dict):
            per_class = self.per_class
            return counting.nested(classes, subdomains, lambda cell: per_class.get(cell[0], 0))
        else:
            wanted.update(self._by_rule(counting.flat(classes, subdomains, counts)))
        return counting.nested(classes, subdomains, wanted.__getitem__)

    def _by_rule(self, counts: Mapping[_Key, int]) -> dict[_Key, int]:
        """Apply a rule that names nothing to classes or cells alike."""
        if isinstance(self.per_class, int):
            return dict.fromkeys(counts, self.per_class)
        if self.multiply is not None:
            return counting.multiplied(counts, self.multiply)
        return counting.raised(counts, self.raise_to or counting.size(counts, self.match))


class OutputSpec(Spec):
    """The form in which synthetic latents are handed out."""

    format: Literal["npz", "parquet", "safetensors"] = "npz"
    """Lineage is a Parquet file in any case."""


class GeldaSpec(Spec):
    """Train a conditional latent diffusion model on a dataset's latents and draw from it."""

    kind: Literal["gelda"] = "gelda"

    dataset: Annotated[str, Field(pattern=r"^ds_[0-9a-f]{32}$")]
    """An embedding dataset; it may still be in the making."""

    preparation: Annotated[tuple[PreparationSpec, ...], Field(min_length=1, max_length=8)] = (
        PreparationSpec(),
    )
    """Preprocessing of the embeddings. Of several, validation chooses with a head on real rows."""

    adapter: AdapterSpec = AdapterSpec()
    """The trainable stack between the embeddings and the head."""

    layer: (
        Annotated[int, Field(ge=0, le=8)]
        | Annotated[
            tuple[Annotated[int, Field(ge=0, le=8)], ...], Field(min_length=1, max_length=9)
        ]
    ) = 0
    """l: the generator models Z^(l), the adapter's state after block l; 0 are the prepared embeddings.
    Of several, validation chooses. Only latents of layer 0 can be handed out as embeddings."""

    classes: ClassVectors = LearnedVectors()
    """The vectors γ of the classes that condition the generator (stated: they carry semantics)."""

    subdomains: SubdomainVectors | None = None
    """The vectors κ of the subdomains; without them the dataset's subdomain column is not looked at."""

    latents: LatentSpec = LatentSpec()
    """How latents are modelled."""

    denoiser: DenoiserSpec = DenoiserSpec()
    """The network."""

    objective: ObjectiveSpec = ObjectiveSpec()
    """The loss and its optimisation."""

    sampler: SamplerSpec = SamplerSpec()
    """The solver."""

    plan: PlanSpec = PlanSpec(match="largest")
    """How many to make."""

    classifier: HeadSpec = HeadSpec()
    """The head that `evaluate` trains and the job hands out."""

    output: OutputSpec = OutputSpec()
    """File format."""
