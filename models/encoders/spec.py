"""What an `embed` job is told: which encoder reads a raw dataset, at which layer, pooled how."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.spec import Spec, contradiction

Pooling = Literal["auto", "pooler", "projection", "cls", "mean"]


class EncoderSpec(Spec):
    """A frozen foundation model, and where and how its vectors are taken."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    """A model that the service has, by its name: one from `GET /v1/methods`, never a path or an
    address."""

    layer: (
        Annotated[int, Field(ge=-1000, le=1000)]
        | Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\w+(\.\w+)*$")]
        | None
    ) = None
    """A hidden layer: 0 is what goes into the first block (the embeddings), 1 what the first block
    gives, -1 the last; or a module by its dotted name, as in ``encoder.layers.3``. By default the
    model's own output."""

    pooling: Pooling = "auto"
    """How tokens become one vector. `cls`: the first token; `mean`: over all tokens or places that
    are not padding; `pooler`: the model's own; `projection`: into the space that images and texts
    share. `auto` takes what the family of models is used with. At a hidden layer `cls` and `mean`
    alone."""

    batch_rows: Annotated[int, Field(ge=1, le=4096)] = 32
    """Rows through the model at once; changes no vector by more than rounding."""

    max_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Longer recordings are cut to this many seconds; Whisper reads no more than 30 anyway."""

    max_tokens: Annotated[int, Field(ge=2, le=8192)] = 256
    """Longer texts are cut to this many tokens, or to what the model can read, if that is less."""

    @model_validator(mode="after")
    def _a_pooler_reads_the_model_s_own_output(self) -> Self:
        if self.layer is not None and self.pooling in {"pooler", "projection"}:
            raise contradiction(
                "encoder_pooling_unavailable",
                f"a hidden layer is pooled by 'cls' or 'mean' ('auto' chooses); {self.pooling!r} "
                "stands on the model's own output, so leave the layer out",
                "pooling",
            )
        return self


class EmbedSpec(Spec):
    """Turn a dataset of images, recordings or texts into one of embeddings."""

    kind: Literal["embed"]

    dataset: Annotated[str, Field(pattern=r"^ds_[0-9a-f]{32}$")]
    """Id of a ready dataset of images, audio or text."""

    encoder: EncoderSpec
    """The model that reads it."""
