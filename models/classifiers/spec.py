"""Specs of heads on latents, and of the `classifier` job."""

from typing import Annotated, Literal

from pydantic import Field

from models.spec import Spec


class HeadSpec(Spec):
    """A classifier head on latents and how it is trained."""

    head: Literal["linear", "cosine", "mlp"] = "linear"
    """Linear layer; cosine similarity to a weight a class, scaled; or one hidden layer."""

    loss: Literal["cross_entropy", "logit_adjusted"] = "cross_entropy"
    """Plain cross-entropy, or with the log class prior of the real rows added to the logits."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 15
    """Passes over a training set of 10,000 rows; smaller and larger sets take as many steps."""

    batch_size: Annotated[int, Field(ge=8, le=65536)] = 256
    """Rows a step."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-2
    """Peak rate of Adam, with cosine decay to zero."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    """L2 penalty on all weights, in the gradient; by default 10 / real training rows, which is one
    Gaussian prior on the weights for every size of data (scikit-learn's C = 0.1)."""

    synthetic_weight: Annotated[float, Field(ge=0, le=10)] = 0.2
    """Weight of the mean loss on added rows beside that on real ones, under `logit_adjusted`."""

    hidden: Annotated[int, Field(ge=8, le=8192)] = 256
    """Width of the hidden layer of an `mlp` head, in units."""


class ClassifierSpec(Spec):
    """Train a head on a dataset, with the outputs of augmentation jobs mixed in."""

    kind: Literal["classifier"] = "classifier"
    dataset: Annotated[str, Field(pattern=r"^ds_[0-9a-f]{32}$")]
    """The real rows."""

    mix: Annotated[
        tuple[Annotated[str, Field(pattern=r"^job_[0-9a-f]{32}$")], ...], Field(max_length=16)
    ] = ()
    """Jobs whose synthetic latents are added to the training rows; they may be unfinished."""

    head: HeadSpec = HeadSpec()
    """The head and its training."""
