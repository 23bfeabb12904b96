"""What choosing and evaluating are given, and what they find."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.classifiers.head import Head
from models.evaluation.interval import Interval
from models.evaluation.metrics import Metric
from models.evaluation.splits import TEST, TRAIN, VAL

Latents = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]
Counts = npt.NDArray[np.int64]

Draw = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64], float], Latents]
"""(labels, counters, temperature) to latents, a row each; equal arguments give equal rows."""

REAL, METHOD = "real", "gelda"

LABELS = {
    "real": "real rows only",
    "gelda": "GeLDA",
    "tuned_real": "real rows only, tuned penalty",
    "oversampling": "random oversampling",
    "smote": "SMOTE",
    "gaussian_1": "Gaussian ×1",
    "gaussian_2": "Gaussian ×2",
    "label_shift": "post-hoc label shift",
    "nearest_class_mean": "nearest class mean",
    "one_hot": "GeLDA, one-hot vectors",
    "shuffled_vectors": "GeLDA, shuffled vectors",
}


@dataclass(frozen=True)
class LabelledRows:
    """Latents `n dim`, their classes `n` and, where rows belong together, their groups `n`."""

    x: Latents
    y: Labels
    group: Labels | None = None


@dataclass(frozen=True)
class EvaluationData:
    """Real rows in three parts that share nothing, and the classes' names."""

    train: LabelledRows
    val: LabelledRows
    test: LabelledRows
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        x: Latents,
        y: Labels,
        split: npt.NDArray[np.int8],
        classes: Sequence[str],
        group: Labels | None = None,
    ) -> Self:
        """Part a dataset by its complete splits (`make_splits`); memory-mapped `x` is read once."""

        def part(code: int) -> LabelledRows:
            rows = np.flatnonzero(split == code)
            groups = None if group is None else np.asarray(group[rows])
            return LabelledRows(np.asarray(x[rows], dtype=np.float32), np.asarray(y[rows]), groups)

        return cls(part(TRAIN), part(VAL), part(TEST), tuple(classes))

    @property
    def train_counts(self) -> Counts:
        """Training rows of each class."""
        return np.bincount(self.train.y, minlength=len(self.classes)).astype(np.int64)


@dataclass(frozen=True)
class Trial:
    """One setting that validation looked at.

    Attributes:
        penalty: of the head, as a multiple of the one that all other arms have.
    """

    arm: str
    temperature: float | None
    share: float
    value: float
    penalty: float | None = None


@dataclass(frozen=True)
class Choice:
    """What validation chose: settings of the method, and the share of rows for every control.

    Attributes:
        temperature: of the sampler.
        share: of the planned rows that the head is trained with.
        control_shares: the same, chosen in the same way, for each control that adds rows.
        penalty: of the tuned head on real rows alone, as a multiple of all other arms'.
        trials: all that was tried; empty where `val` has no row, and nothing was chosen.
    """

    temperature: float
    share: float
    control_shares: Mapping[str, float] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    penalty: float = 1.0

    def as_json(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "share": self.share,
            "control_shares": dict(self.control_shares),
            "penalty": self.penalty,
            "trials": [vars(trial) for trial in self.trials],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            data["temperature"],
            data["share"],
            dict(data["control_shares"]),
            tuple(Trial(**trial) for trial in data["trials"]),
            data["penalty"],
        )


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
        intervals: GeLDA minus each other arm, by column (all, many, medium, few, balanced).
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
        return arrays | {"y": self.data.test.y, "classes": np.array(self.data.classes)}
