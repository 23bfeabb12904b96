"""What validation may choose for an arm, and what it chose."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self


@dataclass(frozen=True)
class Setting:
    """One point of the search; every arm has the axes that apply to it.

    Attributes:
        share: of the planned rows that the head is trained with.
        penalty: of the head, as a multiple of `HeadSpec`'s.
        adjustment: τ of the logit-adjusted loss; None leaves the head's own.
        temperature: of the sampler; None for arms that sample nothing.
        guidance: of the class vectors, likewise.
    """

    share: float = 1.0
    penalty: float = 1.0
    adjustment: float | None = None
    temperature: float | None = None
    guidance: float | None = None


@dataclass(frozen=True)
class Trial:
    """A setting that validation looked at.

    Attributes:
        arm: whose.
        layer: of the latents.
        setting: the point.
        score: mean log-probability of the right class on `val`, which the search maximises.
        value: of the metric on `val`, 0 to 1.
    """

    arm: str
    layer: int
    setting: Setting
    score: float
    value: float


@dataclass(frozen=True)
class Choice:
    """What validation chose.

    Attributes:
        layer: of the latents Z^(l).
        settings: by arm.
        trials: all that was tried; empty where `val` has no row, and nothing was chosen.
    """

    layer: int
    settings: Mapping[str, Setting] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()

    def of(self, arm: str) -> Setting:
        """Return an arm's setting, the plain one where it had nothing to choose."""
        return self.settings.get(arm, Setting())

    def as_json(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "settings": {name: asdict(setting) for name, setting in self.settings.items()},
            "trials": [asdict(trial) for trial in self.trials],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        trials = (
            Trial(t["arm"], t["layer"], Setting(**t["setting"]), t["score"], t["value"])
            for t in data["trials"]
        )
        settings = {name: Setting(**setting) for name, setting in data["settings"].items()}
        return cls(data["layer"], settings, tuple(trials))


Axes = Mapping[str, Sequence[float]]
"""Candidates by a `Setting`'s field, in the order in which they are searched."""


def search(axes: Axes, score: Callable[[Setting], float], budget: int) -> Setting:
    """Go along one axis after the other and keep the best point of each; return the last.

    A full grid of a few axes costs more fits than a job is worth, and its best point fits the noise
    of `val` the better, the more of them there are.

    Args:
        axes: candidates; the first of each stands where no other is better.
        score: of a point on `val`; higher is better.
        budget: points to look at, at most.
    """
    best = Setting(**{name: candidates[0] for name, candidates in axes.items()})
    highest, looks = score(best), 1
    for name, candidates in axes.items():
        start = best
        for candidate in candidates[1:]:
            if looks >= budget:
                return best
            point = replace(start, **{name: candidate})
            found, looks = score(point), looks + 1
            if found > highest:
                best, highest = point, found
    return best
