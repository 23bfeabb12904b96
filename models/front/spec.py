"""Specs of what lies between the caller's embeddings and the latents Z^(l) that are modelled."""

from typing import Annotated, Literal

from pydantic import Field

from models.spec import Spec


class PreparationSpec(Spec):
    """Fixed preprocessing of the caller's embeddings, fitted to the training rows: Z^(0).

    In this order: root, standardisation, principal components, length.
    """

    transform: Literal["none", "sqrt"] = "none"
    """`sqrt` takes the root of each value, with its sign: for embeddings after a ReLU."""

    standardise: bool = True
    """Subtract each dimension's mean and divide by its deviation; off where the embeddings must stay
    as they are, as under a head that came with them."""

    components: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Keep the first principal components (at most as many as there are dimensions and rows)."""

    normalise: bool = False
    """Bring every row to the same length: root mean square 1."""

    @property
    def is_identity(self) -> bool:
        """Whether embeddings come out as they went in."""
        return self == PreparationSpec(standardise=False)


class AdapterSpec(Spec):
    """The trainable stack on Z^(0) below the head: residual MLP blocks (stated: a light adapter)."""

    blocks: Annotated[int, Field(ge=0, le=8)] = 0
    """Residual blocks; 0 is no adapter, the head stands on Z^(0)."""

    width: Annotated[int, Field(ge=8, le=8192)] | None = None
    """Hidden units of a block; by default twice the dimensions."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout inside the blocks while they are trained."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    """Passes over 10,000 rows at most; `val` stops earlier."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Peak rate of AdamW, with cosine decay."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    """Decoupled weight decay."""
