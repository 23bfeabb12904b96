"""Specs of classifiers on images, trained from scratch or fine-tuned from a transformers backbone."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.spec import Precision, Spec, contradiction

ImageSide = Literal[16, 32, 64, 96, 128, 256]
"""Sides, in pixels, of the square images that generators make and classifiers read."""

Augmentation = Literal["none", "cutout", "randaugment", "color"]


class ImageClassifierSpec(Spec):
    """A classifier on images and how it is trained."""

    network: Annotated[
        str, Field(pattern=r"^(resnet-(8|14|20|32|44|56)|wrn-(10|16|22|28|40)-\d{1,2})$")
    ] = "resnet-8"
    """A residual network for small images, trained from scratch: `resnet-DEPTH` (He et al. 2016, section
    4.2) or `wrn-DEPTH-WIDENING` (Zagoruyko & Komodakis 2016). Images of 64 pixels and more are halved
    by further strides at its stem."""

    width: Annotated[int, Field(ge=4, le=256)] = 24
    """Channels of the first block of a `resnet`; a `wrn` begins with 16 times its widening."""

    backbone: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """A transformers image model by the name that `GET /v1/methods` lists, fine-tuned in place of
    `network` with a new linear head."""

    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1500
    """Optimiser steps; the same for every arm of a comparison."""

    batch_size: Annotated[int, Field(ge=2, le=4096)] = 32
    """Images a step, real and synthetic together."""

    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = None
    """Peak rate, with cosine decay to zero; by default 0.1 with SGD (Nesterov momentum 0.9) for a
    `network`, 1e-4 with AdamW for a `backbone`, whose new head learns at ten times that."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 5e-3
    """L2 penalty of SGD, or decoupled decay of AdamW."""

    crop: Annotated[float, Field(ge=0, le=0.5)] = 0.125
    """Random shifts of up to this share of the side, edges mirrored, on real and synthetic alike."""

    flip: bool = True
    """Random mirroring left to right. Switch it off where that changes what an image means: digits."""

    augmentation: Augmentation = "none"
    """On top of both: Cutout (DeVries & Taylor 2017), RandAugment (Cubuk et al. 2020), or `color`: brightness,
    contrast, saturation and hue at random, one image of five grey."""

    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """α of mixup (Zhang et al. 2018) on each batch, real and synthetic together; 0 is none."""

    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """α of CutMix (Yun et al. 2019) on each batch in place of `mixup`: rectangles of images are exchanged, and
    their shares of the labels; 0 is none."""

    precision: Precision = "auto"
    """Of the forward pass in training; `auto` is bfloat16 on CUDA and on processors with AMX."""

    checkpoint_steps: Annotated[int, Field(ge=1)] = 500
    """Steps between checkpoints: the most work that a lost worker can cost."""

    @model_validator(mode="after")
    def _depth_fits(self) -> Self:
        kind, depth, *_ = self.network.split("-")
        if kind == "wrn" and not 1 <= int(self.network.split("-")[2]) <= 20:
            raise contradiction(
                "bad_network",
                f"{self.network} widens {depth} layers by no factor from 1 to 20",
                "network",
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_mix(self) -> Self:
        if self.mixup and self.cutmix:
            raise contradiction(
                "mixup_and_cutmix",
                f"A batch is mixed in one way: `mixup` is {self.mixup:g} and `cutmix` {self.cutmix:g}, "
                "one of them has to be 0",
                "cutmix",
            )
        return self

    @property
    def peak_rate(self) -> float:
        """The learning rate, its default filled in."""
        return self.learning_rate or (0.1 if self.backbone is None else 1e-4)
