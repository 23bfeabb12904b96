"""Specs of heads on latents, and of the `classifier` job."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.front.spec import PreparationSpec
from models.spec import Spec, contradiction


class UploadedHead(Spec):
    """A linear head trained elsewhere, as with the foundation model itself."""

    upload: Annotated[str, Field(pattern=r"^up_[0-9a-f]{32}$")]
    """A complete upload: npz with the two arrays below, and optionally `classes`, the names of their
    rows; without it rows are in the order of the dataset's classes."""

    weight: Annotated[str, Field(min_length=1, max_length=100)] = "head_weight"
    """Array of classes × dim."""

    bias: Annotated[str, Field(min_length=1, max_length=100)] = "head_bias"
    """Array of one number a class."""


class HeadSpec(Spec):
    """A classifier head on latents and how it is trained."""

    head: Literal["linear", "cosine", "mlp", "kernel"] = "linear"
    """Linear layer; cosine similarity to a weight a class, scaled; one hidden layer; or a linear layer
    whose weights are correlated between classes as their vectors are (`semantic_share`)."""

    semantic_share: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share s of the weights' prior covariance that follows the similarity K of class vectors:
    W = chol((1 - s) I + s K) V with the penalty on V. `kernel` only; where the job has no vectors of
    meaning it is a linear layer."""

    initial: UploadedHead | None = None
    """A head that came with the embeddings, trained on rows as rare as these: training starts at it,
    its bias corrected by `loss`, and the penalty pulls towards it. `linear` and `kernel` only."""

    loss: Literal["cross_entropy", "logit_adjusted"] = "cross_entropy"
    """Plain cross-entropy, or with the log class prior of the real rows added to the logits."""

    adjustment: Annotated[float, Field(ge=0, le=5)] = 1.0
    """Factor on the log class prior under `logit_adjusted` (τ of Menon et al. 2021, equation 10)."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 15
    """Passes over a training set of 10,000 rows; smaller and larger sets take as many steps. This and
    the next two fields are for heads that are trained in batches: `cosine`, `mlp`, all above an
    adapter's blocks, and all on more than 25,000 real rows. Any other goes to the minimum of its loss."""

    batch_size: Annotated[int, Field(ge=8, le=65536)] = 256
    """Rows a step, of real ones and again of those added under `logit_adjusted`."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-2
    """Peak rate of Adam, with cosine decay to zero; a tenth of it for an adapter's blocks."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    """L2 penalty λ/2 · |w|² on all weights beside the mean loss; by default 10 / real training rows,
    which is one Gaussian prior on the weights for every size of data (scikit-learn's C = 0.1)."""

    synthetic_weight: Annotated[float, Field(ge=0, le=10)] = 0.2
    """Weight of the mean loss on added rows beside that on real ones, under `logit_adjusted`."""

    hidden: Annotated[int, Field(ge=8, le=8192)] = 256
    """Width of the hidden layer of an `mlp` head, in units."""

    @model_validator(mode="after")
    def _initial_head_is_linear(self) -> Self:
        if self.initial is not None and self.head not in ("linear", "kernel"):
            raise contradiction(
                "initial_head_mismatch",
                f"A head that came with the embeddings is linear: training of a {self.head} head "
                "cannot start at it",
                "initial",
            )
        return self


class ClassifierSpec(Spec):
    """Train a head on a dataset, with the outputs of augmentation jobs mixed in."""

    kind: Literal["classifier"] = "classifier"
    dataset: Annotated[str, Field(pattern=r"^ds_[0-9a-f]{32}$")]
    """The real rows."""

    mix: Annotated[
        tuple[Annotated[str, Field(pattern=r"^job_[0-9a-f]{32}$")], ...], Field(max_length=16)
    ] = ()
    """Jobs whose synthetic latents are added to the training rows; they may be unfinished."""

    preparation: PreparationSpec = PreparationSpec()
    """Preprocessing of the embeddings, below the head; what `mix` adds goes through it too."""

    head: HeadSpec = HeadSpec()
    """The head and its training."""

    @model_validator(mode="after")
    def _initial_head_stands_on_the_embeddings(self) -> Self:
        if self.head.initial is not None and not self.preparation.is_identity:
            raise contradiction(
                "initial_head_mismatch",
                "A head that came with the embeddings stands on them as they are: `preparation` "
                "needs standardise false, transform none, no components and normalise false",
                "head",
                "initial",
            )
        return self
