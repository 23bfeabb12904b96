"""The arms of `benchmarks.glico`: how each gets its images, and the settings that it may choose from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.few_shot import Setting

RATES: tuple[Mapping[str, Any], ...] = (
    {"learning_rate": 0.1, "weight_decay": 0.005},
    {"learning_rate": 0.03, "weight_decay": 0.05},
)
"""Rate and decay, of which every arm may choose its own."""

PUBLISHED = {"low": 0.1, "high": 0.4, "residuals": False}
BEST = "glico"
_CONDITIONED = {"decoder": {"conditioned": True}}


@dataclass(frozen=True)
class Arm:
    """A way to a classifier.

    Attributes:
        label: in words.
        tries: at most eight, of which validation takes the best.
    """

    label: str
    tries: tuple[Setting, ...]


def _each(**settings: Any) -> tuple[Setting, ...]:
    """Return the setting with each of `RATES`."""
    more = settings.pop("classifier", {})
    return tuple(Setting(classifier={**rates, **more}, **settings) for rates in RATES)


def _pairs(source: str) -> tuple[Setting, ...]:
    """Return settings of images from pairs of one class, alone or under mixup across classes."""
    whole = {**RATES[0], "mixup": 1.0}
    return (
        *_each(source=source, probability=0.75),
        *(Setting(classifier=whole, source=source, probability=p) for p in (0.5, 0.25)),
        Setting(classifier={**RATES[1], "mixup": 0.3}, source=source, probability=0.5),
        Setting(classifier={**RATES[1], "mixup": 1.0}, source=source, probability=0.5),
    )


def _conditioned() -> tuple[Setting, ...]:
    """Return two of them, alone and under mixup, with a generator that is told the class."""
    alone, *_, mixed = _pairs(BEST)
    return tuple(replace(one, generator=_CONDITIONED) for one in (alone, mixed))


def _more_pixels() -> tuple[Setting, ...]:
    """Return two more for the cross-fade, which has no generator to vary: pairs always, and a little mixup."""
    a_little = {**RATES[0], "mixup": 0.3}
    return (
        Setting(classifier=RATES[0], source="fade", probability=1.0),
        Setting(classifier=a_little, source="fade", probability=0.5),
    )


ARMS: Mapping[str, Arm] = {
    BEST: Arm("GLICO with residuals, alone or under mixup", (*_pairs(BEST), *_conditioned())),
    "real": Arm("real only, tuned", _each()),
    "cutout": Arm("Cutout", _each(classifier={"augmentation": "cutout"})),
    "mixup": Arm("mixup", (*_each(classifier={"mixup": 1.0}), *_each(classifier={"mixup": 0.3}))),
    "cross_fade": Arm(
        "pixel cross-fade of the same pairs, alone or under mixup",
        (*_pairs("fade"), *_more_pixels()),
    ),
    "published": Arm(
        "GLICO as published", _each(source="glico", probability=0.5, interpolation=PUBLISHED)
    ),
}

_NOISY = {"decoder": {"noise": True}}

QUESTIONS: Mapping[str, tuple[str, Setting]] = {
    "lerp": ("lerp in place of slerp", Setting(source="glico", interpolation={"path": "lerp"})),
    "plain": ("without residuals", Setting(source="glico", interpolation={"residuals": False})),
    "no_path": (
        "no path: reconstructions with noise",
        Setting(
            source="glico", interpolation={"path": "none", "residuals": False}, generator=_NOISY
        ),
    ),
    "conditioned": (
        "conditioned on the class",
        Setting(source="glico", generator=_CONDITIONED),
    ),
}
"""What GLICO owes to which part: a label, and the setting but for rate, decay and share."""
