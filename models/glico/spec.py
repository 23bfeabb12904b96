"""GLICO's spec: codes and a generator learned jointly, sampled by spherical interpolation.

Source: Azuri & Weinshall 2020, Learning from Small Data Through Sampling an Implicit Conditional
Generative Latent Optimization Model.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.images.spec import ImageClassifierSpec, ImageSide
from models.planning.spec import PlanSpec
from models.spec import Precision, Spec, contradiction


class DecoderSpec(Spec):
    """Codes, and the network that makes images of them."""

    code_dim: Annotated[int, Field(ge=8, le=4096)] = 512
    """Values of a code, one for each training image, kept on the unit sphere."""

    width: Annotated[int, Field(ge=8, le=512)] = 32
    """Channels at the finest resolution; twice as many at each coarser one, at most 16 times."""

    upsampling: Literal["transposed", "resize"] = "transposed"
    """How resolution doubles: transposed convolutions, as published, or nearest-neighbour resizing and a
    convolution, which leave no checkerboard (Odena et al. 2016) but reconstruct worse after as many steps."""

    noise: bool = False
    """Noise ε ~ N(0, 0.15²) of 100 values through a linear layer beside the code, so that one code
    gives many images."""

    conditioned: bool = False
    """A learned embedding of the class beside the code. Without it labels act through the auxiliary
    classifier and through pairs of one class alone (implicit conditioning)."""


class ReconstructionSpec(Spec):
    """The joint training of codes and generator."""

    external_weights: bool = True
    """False forbids weights that were trained on other data: the perceptual loss is left out, and
    nothing but the labelled images has been seen."""

    perceptual: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """VGG-16 for the perceptual loss, by the name of a model that the service has. Without it the loss is
    an L1 distance of Laplacian pyramids."""

    classifier_weight: Annotated[float, Field(ge=0, le=100)] = 0.5
    """γ: weight of the auxiliary classifier's cross-entropy on reconstructions."""

    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Optimiser steps; by default from the number of images and their side."""

    batch_size: Annotated[int, Field(ge=2, le=1024)] | None = None
    """Images a step; by default 64 up to 32 pixels, 32 above."""

    code_rate: Annotated[float, Field(gt=0, le=1)] = 1e-2
    """Peak rate of Adam (0.5, 0.999) on the codes."""

    generator_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    """Peak rate of Adam (0.5, 0.999) on generator and auxiliary classifier."""

    precision: Precision = "auto"
    """Of the forward pass in training; `auto` is bfloat16 on CUDA and on processors with AMX."""

    checkpoint_steps: Annotated[int, Field(ge=1)] = 500
    """Steps between checkpoints: the most work that a lost worker can cost."""

    @model_validator(mode="after")
    def _no_weights_where_none_are_allowed(self) -> Self:
        if self.perceptual is not None and not self.external_weights:
            raise contradiction(
                "external_weights_forbidden",
                f"`external_weights` is false, and {self.perceptual} was trained on other data",
                "perceptual",
            )
        return self


class InterpolationSpec(Spec):
    """How a synthetic image is made of training images of one class."""

    path: Literal["slerp", "lerp", "none"] = "slerp"
    """Along the sphere, straight, or not at all: the reconstruction of one image (with `noise`, many)."""

    low: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Least share t of the way to the partner; published: 0.1."""

    high: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Largest share; published: 0.4. Each image draws its own t between both."""

    parents: Annotated[int, Field(ge=2, le=8)] = 2
    """Training images that one is made of; more than two give a weighted spherical mean."""

    residuals: bool = True
    """Add what the generator lost of the parents, in the same shares. Not in the published form."""

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low > self.high:
            raise contradiction(
                "bad_interpolation", f"`low` {self.low:g} is above `high` {self.high:g}", "low"
            )
        return self


class MixingSpec(Spec):
    """How synthetic images enter the classifier's training."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Chance of an image of a batch to be synthetic, drawn anew in every step; published: 0.5."""


class ImageOutputSpec(Spec):
    """The form in which synthetic images are handed out."""

    format: Literal["imagefolder"] = "imagefolder"
    """A zip of one folder a class with PNG files and `metadata.jsonl`, as Hugging Face datasets reads it."""


class GlicoSpec(Spec):
    """Learn a generator of a few labelled images a class, sample it, train a classifier with its images."""

    kind: Literal["glico"] = "glico"

    dataset: Annotated[str, Field(pattern=r"^ds_[0-9a-f]{32}$")]
    """A dataset of images; it may still be in the making."""

    size: ImageSide | None = None
    """Side of the images in pixels, cut to squares; by default the nearest to what the dataset has, at
    most 64."""

    decoder: DecoderSpec = DecoderSpec()
    """Codes and generator."""

    reconstruction: ReconstructionSpec = ReconstructionSpec()
    """Their training."""

    interpolation: InterpolationSpec = InterpolationSpec()
    """Sampling."""

    plan: PlanSpec = PlanSpec(multiply=10)
    """How many images to hand out. The classifier's training draws its own, without end."""

    mixing: MixingSpec = MixingSpec()
    """Real and synthetic images in the classifier's training."""

    classifier: ImageClassifierSpec = ImageClassifierSpec()
    """The classifier that `evaluate` trains and the job hands out."""

    output: ImageOutputSpec = ImageOutputSpec()
    """The form of what is handed out."""

    @model_validator(mode="after")
    def _no_cells_without_subdomains(self) -> Self:
        if self.plan.cells is not None:
            raise contradiction(
                "cells_need_subdomains",
                "The plan names cells, but GLICO knows classes alone, no subdomains: give `per_class`",
                "plan",
                "cells",
            )
        return self
