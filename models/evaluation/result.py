"""What evaluation finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.classifiers.head import Head
from models.evaluation.data import EvaluationData
from models.evaluation.interval import Interval
from models.evaluation.metrics import Metric
from models.evaluation.settings import Choice


@dataclass(frozen=True)
class Arm:
    """One way to a classifier, and what it says on test rows.

    Attributes:
        name: `real`, `gelda`, a control's name, or the caller's.
        label: in words.
        predictions: int64 `seeds n`; one row for a method that has no seed.
        rows_added: synthetic or repeated training rows.
        share: of the planned rows, where the arm adds rows.
    """

    name: str
    label: str
    predictions: npt.NDArray[np.int64]
    rows_added: int = 0
    share: float | None = None


@dataclass(frozen=True)
class Result:
    """Everything the report tells about held-out rows.

    Attributes:
        arms: by name; `real` and `gelda` always, then the controls.
        intervals: GeLDA minus each other arm, by column (all, many, medium, few, unseen, balanced).
        head: the head that validation chose among those of `head_arms`.
        head_arm: the arm it is of.
        val_scores: of the arms that could give the head, mean over seeds.
        val_gain: GeLDA minus real rows alone on `val`, by the metric; None without a row there.
        repeated_classes: classes of one row, which SMOTE could only repeat.
    """

    data: EvaluationData
    metric: Metric
    seeds: int
    arms: Mapping[str, Arm]
    intervals: Mapping[str, Mapping[str, Interval]]
    choice: Choice
    head: Head
    head_arm: str
    val_scores: Mapping[str, float]
    val_gain: Interval | None = None
    repeated_classes: tuple[str, ...] = ()

    def correct(self, name: str) -> npt.NDArray[np.bool_]:
        """Whether each test row is right, bool `seeds n`."""
        return np.asarray(self.arms[name].predictions == self.data.test.y)

    def predictions(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays of `predictions.npz`: an arm each, `seeds n`, and the truth as `y`."""
        arrays: dict[str, npt.NDArray[Any]] = {n: a.predictions for n, a in self.arms.items()}
        arrays |= {"y": self.data.test.y, "classes": np.array(self.data.classes)}
        if self.data.test.subdomain is not None:
            arrays["subdomain"] = self.data.test.subdomain
            arrays["subdomains"] = np.array(self.data.subdomains)
        return arrays
