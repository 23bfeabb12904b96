"""The figure of what validation saw, and settings in words."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from models.evaluation.arms import REAL
from models.evaluation.plots import shorten
from models.evaluation.svg import FAINT, figure_svg

LONG = 60
"""Characters of an arm and its setting."""


def choice(report: Mapping[str, Any]) -> str | None:
    """What validation saw of the method's settings and of real rows', what it took filled; None if
    nothing.
    """
    found, own = report["choice"], report["method"]["name"]
    trials = [t for t in found["trials"] if t["arm"] in (own, REAL)][::-1]
    if not trials:
        return None
    labels = {row["name"]: row["label"] for row in report["table"]["rows"]}
    names = [_trial_label(t, labels) for t in trials]

    def draw(axes: Axes) -> None:
        for place, trial in enumerate(trials):
            # Only latents have layers to choose among.
            there = trial.get("layer") == found.get("layer")
            taken = there and trial["setting"] == found["settings"][trial["arm"]]
            colour = "#1f9d7a" if trial["arm"] == own else FAINT
            axes.plot(
                trial["score"], place, "o", ms=7, color=colour, mew=1.6,
                mfc=colour if taken else "none",
            )  # fmt: skip
        axes.set_yticks(range(len(trials)), names)
        axes.set_ylim(-0.6, len(trials) - 0.4)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(
            "mean log-probability of the right class on validation (filled: taken)",
            # Beside long names the axis is shorter than its label, which then would be cut off.
            loc="right" if max(map(len, names)) > LONG else "center",
        )

    return figure_svg(
        draw, name="choice", title="Settings on validation", height=0.9 + 0.26 * len(trials)
    )


def _trial_label(trial: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    name = shorten(labels.get(trial["arm"], trial["arm"]), 28)
    return f"{name}: {in_words(trial['setting'])}" + (
        f", layer {trial['layer']}" if trial.get("layer") else ""
    )


def in_words(setting: Mapping[str, Any]) -> str:
    """Return a setting of validation in a few words; what an arm has no say in goes unsaid."""
    told = {name: value for name, value in setting.items() if value is not None}
    words = [f"penalty × {told.pop('penalty', 1.0):g}"]
    share = told.pop("share", 1.0)
    if (temperature := told.pop("temperature", None)) is not None:
        words = [f"temperature {temperature:g}", f"{100 * share:g} % of the plan", *words]
    if (probability := told.pop("probability", None)) is not None:
        words = [f"{100 * probability:g} % synthetic", *words]
    words += [
        _NAMED[name, value]
        if (name, value) in _NAMED
        else f"{_SYMBOLS.get(name, name.replace('_', ' '))} {_value(value)}"
        for name, value in told.items()
        if value != _UNSAID.get(name)
    ]
    return ", ".join(words)


def _value(value: float | str) -> str:
    return value.replace("+", " + ").replace("_", " ") if isinstance(value, str) else f"{value:g}"


_SYMBOLS = {"adjustment": "τ", "mixup": "mixup α", "cutmix": "CutMix α", "filters": "filtered by"}

_NAMED = {
    ("filters", "none"): "no filter",
    ("augmentation", "color"): "colour jitter",
    ("augmentation", "randaugment"): "RandAugment",
    ("augmentation", "cutout"): "Cutout",
}
"""What is no name and value in words."""

_UNSAID = {"guidance": 1, "mixup": 0, "cutmix": 0, "augmentation": "none"}
"""What a setting has that changes nothing."""
