"""What validation may choose for an arm on images, and what it chose."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

ImageSetting = Mapping[str, float | str]
"""One point of the search, by name: `penalty` (multiple of the classifier's weight decay) for every arm;
`probability` (chance of an image to be synthetic), `mixup` (its α), `augmentation` (its name) and `filters` (names
of those that synthetic images had to pass, joined by +) where they are open."""


@dataclass(frozen=True)
class ImageTrial:
    """A setting that validation looked at.

    Attributes:
        arm: whose.
        setting: the point.
        score: mean log-probability of the right class on `val`, which validation maximises.
        value: of the metric on `val`, 0 to 1.
    """

    arm: str
    setting: ImageSetting
    score: float
    value: float


@dataclass(frozen=True)
class ImageChoice:
    """What validation chose.

    Attributes:
        settings: by arm.
        trials: all that was tried; empty where `val` has no row, and nothing was chosen.
    """

    settings: Mapping[str, ImageSetting] = field(default_factory=dict)
    trials: tuple[ImageTrial, ...] = ()

    @classmethod
    def best(cls, trials: Iterable[ImageTrial]) -> Self:
        """Take each arm's setting of the highest score; of equal ones the first."""
        tried, taken = tuple(trials), dict[str, ImageTrial]()
        for trial in tried:
            if trial.arm not in taken or trial.score > taken[trial.arm].score:
                taken[trial.arm] = trial
        return cls({arm: dict(trial.setting) for arm, trial in taken.items()}, tried)

    def as_json(self) -> dict[str, Any]:
        return {
            "settings": {arm: dict(setting) for arm, setting in self.settings.items()},
            "trials": [asdict(trial) for trial in self.trials],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["settings"], tuple(ImageTrial(**trial) for trial in data["trials"]))
