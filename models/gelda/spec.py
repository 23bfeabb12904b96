"""GeLDA's spec: conditional diffusion in a foundation model's latent space.

Source: Bae & Kim 2026, Semantics-Aware Generative Latent Data Augmentation. What the paper's
abstract states is named so; the rest is our inference and is measured in `benchmarks`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.classifiers.spec import HeadSpec
from models.encoders.spec import EncoderSpec
from models.front.spec import AdapterSpec, PreparationSpec
from models.planning.spec import PlanSpec
from models.semantics.spec import ClassVectors, LearnedVectors, SubdomainVectors
from models.spec import Spec, contradiction

__all__ = [
    "DenoiserSpec",
    "GeldaSpec",
    "LatentSpec",
    "ObjectiveSpec",
    "OutputSpec",
    "SamplerSpec",
]


class LatentSpec(Spec):
    """How the generator models latents Z^(l)."""

    model: Literal["residual", "direct"] = "residual"
    """`residual` models whitened residuals around class means; `direct` the latents themselves."""

    estimate: Literal["auto", "similar", "ridge"] = "auto"
    """What the class vectors say about a class's mean: the mean of classes with like vectors
    (softmax of cosines), or kernel ridge regression on the vectors. `auto` takes the one that tells
    the means of seen classes better when each is left out."""

    shrinkage: Annotated[float, Field(ge=0, le=1000)] = 1.0
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


class OutputSpec(Spec):
    """The form in which synthetic latents are handed out."""

    format: Literal["npz", "parquet", "safetensors"] = "npz"
    """Lineage is a Parquet file in any case."""


class GeldaSpec(Spec):
    """Train a conditional latent diffusion model on a dataset's latents and draw from it."""

    kind: Literal["gelda"] = "gelda"

    dataset: Annotated[str, Field(pattern=r"^ds_[0-9a-f]{32}$")]
    """A dataset of embeddings, or of raw data and then with an `encoder`; it may still be in the making."""

    encoder: EncoderSpec | None = None
    """The frozen foundation model that makes embeddings of raw data, as this job's first stages."""

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

    @model_validator(mode="after")
    def _cells_have_subdomains(self) -> Self:
        if self.plan.cells is not None and self.subdomains is None:
            raise contradiction(
                "cells_need_subdomains",
                "The plan names cells, but subdomains are not conditioned on: give `subdomains`",
                "plan",
                "cells",
            )
        return self

    @model_validator(mode="after")
    def _layers_are_there(self) -> Self:
        highest = self.layer if isinstance(self.layer, int) else max(self.layer)
        if highest > self.adapter.blocks:
            raise contradiction(
                "layer_beyond_adapter",
                f"Latents of layer {highest} lie above block {highest} of the adapter, which has "
                f"{self.adapter.blocks}: give `adapter.blocks` of {highest} or more",
                "layer",
            )
        return self

    @model_validator(mode="after")
    def _initial_head_stands_on_the_embeddings(self) -> Self:
        if self.classifier.initial is None:
            return self
        changed = self.adapter.blocks > 0 or not all(one.is_identity for one in self.preparation)
        if changed:
            raise contradiction(
                "initial_head_mismatch",
                "A head that came with the embeddings stands on them as they are: each `preparation` "
                "needs standardise false, transform none, no components and normalise false, and "
                "`adapter.blocks` 0",
                "classifier",
                "initial",
            )
        return self
