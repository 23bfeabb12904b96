"""How a job measures itself on data that no generator has seen."""

from typing import Annotated, Literal

from pydantic import Field

from models.spec import Spec

Control = Literal[
    "tuned_real",
    "oversampling",
    "smote",
    "gaussian_1",
    "gaussian_2",
    "label_shift",
    "nearest_class_mean",
    "one_hot",
    "shuffled_vectors",
]

ALL_CONTROLS: tuple[Control, ...] = (
    "tuned_real",
    "oversampling",
    "smote",
    "gaussian_1",
    "gaussian_2",
    "label_shift",
    "nearest_class_mean",
    "one_hot",
    "shuffled_vectors",
)


class EvaluateSpec(Spec):
    """Heads on real, on real + synthetic and on the controls; tuned on `val`, reported on `test`."""

    enabled: bool = True
    """False skips choosing, controls and report: latents at the spec's own settings."""

    seeds: Annotated[int, Field(ge=1, le=20)] = 3
    """How often each head is trained; the generator is trained once a job."""

    temperatures: Annotated[
        tuple[Annotated[float, Field(ge=0.1, le=10)], ...], Field(min_length=1, max_length=8)
    ] = (1.0, 1.5, 2.0)
    """Candidates for the sampler's temperature; validation chooses."""

    shares: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, max_length=8)
    ] = (0.5, 1.0)
    """Candidates for the share of the planned rows that the head is trained with; validation chooses."""

    metric: Literal["balanced_accuracy", "accuracy"] = "balanced_accuracy"
    """What validation maximises and the verdict is about."""

    controls: tuple[Control, ...] = ALL_CONTROLS
    """Rivals trained in the same run; the last two apply only where class vectors carry semantics."""

    val_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    """Share of rows set aside for choosing, where the dataset brings no `val` split."""

    test_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    """Share of rows set aside for reporting, where the dataset brings no `test` split."""
