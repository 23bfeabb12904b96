"""How a job measures itself on data that no generator has seen."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.spec import Spec

Control = Literal[
    "logit_adjusted",
    "same_head",
    "oversampling",
    "smote",
    "gaussian_1",
    "gaussian_2",
    "gaussian_shrunk",
    "cell_gaussian",
    "cell_transport",
    "label_shift",
    "nearest_class_mean",
    "one_hot",
    "shuffled_vectors",
    "no_subdomain",
    "cutout",
    "randaugment",
    "mixup",
    "cross_fade",
    "cross_fade_mixup",
    "published",
    "color",
    "cutmix",
    "text_to_image",
    "extra_real",
]

LATENT_CONTROLS: tuple[Control, ...] = (
    "logit_adjusted",
    "same_head",
    "oversampling",
    "smote",
    "gaussian_1",
    "gaussian_2",
    "gaussian_shrunk",
    "cell_gaussian",
    "cell_transport",
    "label_shift",
    "nearest_class_mean",
    "one_hot",
    "shuffled_vectors",
    "no_subdomain",
)
"""Of methods that make latents."""

IMAGE_CONTROLS: tuple[Control, ...] = (
    "cutout",
    "randaugment",
    "mixup",
    "cross_fade",
    "cross_fade_mixup",
    "published",
    "color",
    "cutmix",
    "text_to_image",
    "extra_real",
)
"""Of methods that make images."""

ALL_CONTROLS = (*LATENT_CONTROLS, *IMAGE_CONTROLS)

_Factor = Annotated[float, Field(gt=0, le=1000)]


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

    guidances: Annotated[tuple[Annotated[float, Field(ge=0, le=20)], ...], Field(max_length=8)] = ()
    """Candidates for the sampler's guidance; by default the one of `sampler`."""

    shares: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, max_length=8)
    ] = (0.5, 1.0)
    """Candidates for the share of the planned rows that the head is trained with; validation chooses."""

    penalties: Annotated[tuple[_Factor, ...], Field(min_length=1, max_length=8)] = (
        1.0,
        0.1,
        4.0,
    )
    """Candidates for the head's penalty or the classifier's weight decay, as multiples of its own; every
    arm chooses for itself."""

    adjustments: Annotated[
        tuple[Annotated[float, Field(ge=0, le=5)], ...], Field(max_length=8)
    ] = ()
    """Candidates for the `adjustment` of logit-adjusted heads; by default the head's own."""

    budget: Annotated[int, Field(ge=1, le=200)] = 12
    """Settings that validation looks at for each arm, at most: of heads one axis after the other, of classifiers
    on images all side by side."""

    metric: Literal["balanced_accuracy", "accuracy"] = "balanced_accuracy"
    """What the verdict is about. Validation maximises the mean log-probability of the right class, over
    classes or over rows as the metric is."""

    controls: tuple[Control, ...] = ALL_CONTROLS
    """Rivals measured in the same run, as far as they apply: latents have other ones than images; some
    need class vectors that carry meaning, those of cells need `subdomains`. By default each method has its
    usual ones: GLICO not `color` and `cutmix`, ALIA not `cutout` and `mixup`, unless they are named here."""

    val_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    """Share of rows set aside for choosing, where the dataset brings no `val` split."""

    test_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    """Share of rows set aside for reporting, where the dataset brings no `test` split."""


Share = Annotated[float, Field(ge=0, le=1)]


class ReleaseSpec(Spec):
    """What must hold, on validation rows, for a job to hand out rows, generator and classifier.

    Every condition that is given must hold; one that cannot be measured does not. At least one is
    needed. The report can be read in either case.
    """

    min_gain: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Points that the head gains over real rows alone, by the metric of `evaluate`."""

    min_gain_low: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Points at the lower end of the gain's 95 % interval. Validation has chosen the settings, so a
    gain on it is a little flattered: ask for more than 0 where that matters."""

    max_copy_share: Share | None = None
    """Share of synthetic rows that are training rows; 0 allows none."""

    max_near_share: Share | None = None
    """Share of synthetic rows nearer to a training row than all but 5 % of held-out rows are; new rows
    would have 0.05."""

    min_nearest_ratio: Annotated[float, Field(ge=0, le=100)] | None = None
    """Median distance to the nearest training row, as a multiple of held-out rows' own; new rows would
    have 1, copies 0."""

    max_nearest_ratio: Annotated[float, Field(ge=0, le=100)] | None = None
    """The same from above: rows far from all that is real."""

    max_frechet_ratio: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Fréchet distance to held-out rows, as a multiple of further real rows' own."""

    max_c2st: Annotated[float, Field(ge=0.5, le=1)] | None = None
    """How often a classifier may tell synthetic from held-out rows; 0.5 is chance."""

    min_precision: Share | None = None
    """Share of synthetic rows among the real ones (Kynkäänniemi et al. 2019)."""

    min_recall: Share | None = None
    """Share of held-out rows among the synthetic ones (Kynkäänniemi et al. 2019)."""

    min_density: Annotated[float, Field(ge=0, le=100)] | None = None
    """How densely synthetic rows lie among real ones (Naeem et al. 2020); new rows would have about 1."""

    min_coverage: Share | None = None
    """Share of held-out rows with a synthetic row nearby (Naeem et al. 2020)."""

    @model_validator(mode="after")
    def _some_condition(self) -> Self:
        if not self.conditions:
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"at least one condition is needed, of {names}; found none")
        return self

    @property
    def conditions(self) -> dict[str, float]:
        """The conditions that were given, by name."""
        return {name: value for name, value in self if value is not None}
