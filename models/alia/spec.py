"""ALIA's spec: captions, descriptions of domains, edits by a diffusion model, filters, a classifier.

Source: Dunlap et al. 2023, Diversify Your Vision Datasets with Automatic Diffusion-Based Augmentation.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.images.spec import Augmentation, ImageClassifierSpec, ImageSide
from models.planning.spec import PlanSpec
from models.spec import Precision, Spec, contradiction

EditorName = Literal["img2img", "instruct_pix2pix", "lcm", "flux2_klein", "txt2img"]

Switch = Literal["on", "off", "auto"]
"""Of a filter: used, not used, or used where validation shows that it helps."""

ModelName = Annotated[str, Field(min_length=1, max_length=200)]
"""A model that the service has, by the name that `GET /v1/methods` lists."""

Description = Annotated[str, Field(min_length=3, max_length=300)]
"""A domain in words, with `{}` where the class goes: "a photo of a {} in the snow"."""

CAPTIONER = "Salesforce/blip-image-captioning-large"
LANGUAGE_MODEL = "Qwen/Qwen3-4B-Instruct-2507"
IMAGE_TEXT = "openai/clip-vit-large-patch14"
EDITORS: dict[EditorName, str] = {
    "img2img": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "instruct_pix2pix": "timbrooks/instruct-pix2pix",
    "lcm": "SimianLuo/LCM_Dreamshaper_v7",
    "flux2_klein": "black-forest-labs/FLUX.2-klein-4B",
    "txt2img": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}
"""What edits where a spec names no model."""


IMG2IMG_STEPS = 25
"""Steps of `img2img` where a spec leaves them open."""


class CaptionSpec(Spec):
    """Captions of the training images."""

    model: ModelName = CAPTIONER
    """An image captioner: BLIP or Florence-2."""

    prefix: Annotated[str, Field(max_length=200)] = ""
    """How every caption begins, where the captioner can go on from given words (BLIP)."""

    max_tokens: Annotated[int, Field(ge=4, le=256)] = 40
    """Tokens of a caption, at most."""

    batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    """Images captioned at once."""


class SummariseSpec(Spec):
    """From captions to descriptions of domains, agnostic of the class."""

    model: ModelName | None = LANGUAGE_MODEL
    """An instruction-tuned language model with a chat template; null: phrases of the captions are grouped
    by what they share, without any model."""

    prefix: Annotated[str, Field(min_length=2, max_length=200)] = "a photo of a {}"
    """The form of descriptions: how each begins, with `{}` where the class goes."""

    captions: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Distinct captions in one prompt, drawn at random."""

    draws: Annotated[int, Field(ge=1, le=100)] = 1
    """Prompts with captions drawn anew, whose answers are merged: those that come most often first."""

    turns: Literal[1, 2] = 2
    """One question for descriptions; or, as published, one for what the captions say of setting, scene,
    camera and light, and a second for descriptions."""

    most: Annotated[int, Field(ge=1, le=100)] = 9
    """Descriptions, at most; published: fewer than 10."""

    retries: Annotated[int, Field(ge=0, le=20)] = 3
    """How often an answer that is no list of descriptions is asked for again."""

    max_tokens: Annotated[int, Field(ge=16, le=8192)] = 1024
    """Tokens of an answer, at most."""

    @model_validator(mode="after")
    def _prefix_has_one_place(self) -> Self:
        if self.prefix.count("{}") != 1:
            raise contradiction(
                "bad_description",
                f"`prefix` has {self.prefix.count('{}')} `{{}}`, one is needed",
                "prefix",
            )
        return self


class EditSpec(Spec):
    """The editor and its settings. It is never fine-tuned."""

    editor: EditorName = "img2img"
    """`img2img` (SDEdit), `instruct_pix2pix`, `lcm` (few-step SDEdit), `flux2_klein` (few-step editing), or
    `txt2img`, which sees no source."""

    model: ModelName | None = None
    """Its weights; by default the editor's own, as `GET /v1/methods` lists them."""

    size: Annotated[int, Field(ge=16, le=2048)] | None = None
    """Shorter side of an edit in pixels; by default what the model was trained on. Proportions stay,
    to the next size that the model can make."""

    strength: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the noise schedule that a source goes through (`img2img`, `lcm`); published: 0.4 to 0.6."""

    guidance: Annotated[float, Field(ge=0, le=30)] | None = None
    """Text guidance; by default the editor's own."""

    image_guidance: Annotated[float, Field(ge=1, le=10)] = 1.3
    """Image guidance of `instruct_pix2pix`; published: 1.2 to 1.3."""

    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Steps of the scheduler; by default the editor's own."""

    negative: Annotated[str, Field(max_length=500)] = ""
    """What the text guidance leads away from."""

    template: Annotated[str, Field(min_length=2, max_length=300)] | None = None
    """The prompt, in which `{description}` stands for a description with its class, `{class}` for the
    class and `{setting}` for a description without its prefix; by default the editor's own."""

    batch_size: Annotated[int, Field(ge=1, le=256)] | None = None
    """Images edited at once; by default what the memory of the worker that plans them allows. It is part of
    the plan: equal batches give equal bytes."""

    precision: Precision = "auto"
    """Of denoiser and encoders; `auto` is bfloat16 on CUDA and on processors with AMX."""

    compiled: bool | None = None
    """Whether the denoiser's repeated blocks are compiled; by default on CUDA, for more than 1,000 edits."""

    @model_validator(mode="after")
    def _some_step_is_left(self) -> Self:
        steps = self.steps or IMG2IMG_STEPS
        if self.editor == "img2img" and int(steps * self.strength) < 1:
            raise contradiction(
                "no_step_left",
                f"A `strength` of {self.strength:g} leaves none of {steps} steps: nothing would be edited",
                "strength",
            )
        return self


class SemanticSpec(Spec):
    """An image-text model must find the subject likelier than what spoilt edits look like."""

    switch: Switch = "auto"
    """Whether it is used."""

    model: ModelName = IMAGE_TEXT
    """A CLIP or SigLIP model. It also tells which description a training image already is of."""

    negatives: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=50)
    ] = (
        "a photo of an object",
        "a painting",
        "geometric shapes",
        "a black image",
        "random noise",
        "a blurry texture",
    )
    """What must not be likelier than the subject."""


class ConfidenceSpec(Spec):
    """A classifier trained on the real images must neither find its class too surely nor another one."""

    switch: Switch = "auto"
    """Whether it is used."""

    index: Literal["label", "prediction"] = "label"
    """Whose class's threshold a prediction is held against; published: the predicted one's."""

    folds: Annotated[int, Field(ge=2, le=10)] = 3
    """Parts of the training images: each is judged by a classifier that has not seen it."""

    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Of each fold's training; by default the classifier's own."""


class DuplicateSpec(Spec):
    """An edit must differ from its source and from the edits kept before it."""

    switch: Literal["on", "off"] = "off"
    """Whether it is used."""

    distance: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Root mean square of the difference of pixels in [0, 1], at 32 pixels a side, below which two images are one."""


class FilterSpec(Spec):
    """Which edits are used. Scores of every edit are kept, whatever becomes of it."""

    semantic: SemanticSpec = SemanticSpec()
    """By an image-text model."""

    confidence: ConfidenceSpec = ConfidenceSpec()
    """By a classifier of the real images."""

    duplicate: DuplicateSpec = DuplicateSpec()
    """Near-duplicates."""


class EditOutputSpec(Spec):
    """The form in which edits are handed out."""

    format: Literal["imagefolder", "webdataset"] = "imagefolder"
    """A zip of one folder a class with PNG files and `metadata.jsonl`, as Hugging Face datasets reads it; or a
    tar of PNG and JSON by key, as WebDataset reads it."""

    pairs: bool = True
    """Whether each edit is also handed out beside its source."""


class AliaSpec(Spec):
    """Describe a dataset's domains, edit its images into them, filter, train a classifier with the edits."""

    kind: Literal["alia"] = "alia"

    dataset: Annotated[str, Field(pattern=r"^ds_[0-9a-f]{32}$")]
    """A dataset of images; it may still be in the making."""

    extra: Annotated[str, Field(pattern=r"^ds_[0-9a-f]{32}$")] | None = None
    """Further real images of the same classes, to compare edits with: a control trains on them."""

    size: ImageSide | None = None
    """Side of what classifiers read, in pixels; by default the nearest to what the dataset has, at most 64."""

    subject: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """What the classes are kinds of, such as "bird"; by default the semantic filter asks for any class."""

    descriptions: Annotated[tuple[Description, ...], Field(min_length=1, max_length=100)] | None = (
        None
    )
    """The domains, where they are known: nothing is captioned or summarised then."""

    captions: CaptionSpec = CaptionSpec()
    """Captions of the training images."""

    summarise: SummariseSpec = SummariseSpec()
    """Descriptions of domains."""

    edit: EditSpec = EditSpec()
    """The editor."""

    text_to_image: ModelName | None = None
    """A text-to-image model that makes as many images of the same prompts without a source: a control."""

    avoid_own: bool = True
    """Whether no image is edited into the domain that it already shows, as the image-text model sees it."""

    filters: FilterSpec = FilterSpec()
    """Which edits are used."""

    plan: PlanSpec = PlanSpec(multiply=1)
    """How many edits of each class to hand out, spread evenly over descriptions and sources."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """Edits made, at most, for one that is to be handed out: what a filter drops is edited anew from another
    source."""

    pause_after: Literal["summarise"] | None = None
    """Whether the job waits for its descriptions to be looked at, and edited."""

    review: Literal["sample", "all"] | None = None
    """Whether the job waits for some or all of the edits to be accepted or rejected."""

    review_items: Annotated[int, Field(ge=1, le=10_000)] = 60
    """Edits of a `sample`, evenly over classes and descriptions."""

    augmentations: Annotated[tuple[Augmentation, ...], Field(min_length=1, max_length=4)] = (
        "none",
        "color",
        "randaugment",
    )
    """Classical augmentations on real images and edits alike, of which every arm chooses its own on `val`."""

    classifier: ImageClassifierSpec = ImageClassifierSpec()
    """The classifier that `evaluate` trains and the job hands out."""

    output: EditOutputSpec = EditOutputSpec()
    """The form of what is handed out."""

    @model_validator(mode="after")
    def _no_cells_without_subdomains(self) -> Self:
        if self.plan.cells is not None:
            raise contradiction(
                "cells_need_subdomains",
                "The plan names cells, but ALIA spreads edits over descriptions itself: give `per_class`",
                "plan",
                "cells",
            )
        return self

    @model_validator(mode="after")
    def _descriptions_have_one_place(self) -> Self:
        for number, description in enumerate(self.descriptions or ()):
            if description.count("{}") != 1:
                raise contradiction(
                    "bad_description",
                    f"description {number}, {description!r}, has {description.count('{}')} `{{}}`, one is needed",
                    "descriptions",
                )
        return self

    @property
    def editor_model(self) -> str:
        """The editor's weights, its default filled in."""
        return self.edit.model or EDITORS[self.edit.editor]
