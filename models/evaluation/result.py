"""What evaluation finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.evaluation.arms import Method
from models.evaluation.data import EvaluationData
from models.evaluation.interval import Interval
from models.evaluation.metrics import Metric


@dataclass(frozen=True)
class Arm:
    """One way to a classifier, and what it says on test rows.

    Attributes:
        name: `real`, the method's, a control's name, or the caller's.
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


class Chosen(Protocol):
    """What validation chose, and all that it looked at."""

    def as_json(self) -> dict[str, Any]:
        """Return `settings` by arm and `trials`, each with `arm`, `setting`, `score` and `value`."""
        ...


@dataclass(frozen=True)
class HandedOut:
    """The classifier that validation chose, as far as the report tells of it.

    Attributes:
        arm: the arm that it is of.
        spec: its own, as JSON.
        val_scores: of the arms that could give it, by the metric on `val`, 0 to 1, mean over seeds;
            empty where `val` has no row.
        log_scores: mean log-probabilities of the right class on `val`, likewise, where they are known.
        seed: number of the arm's seed whose classifier it is.
    """

    arm: str
    spec: Mapping[str, Any]
    val_scores: Mapping[str, float]
    log_scores: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Part:
    """Some of the test rows: of one domain, or of several.

    Attributes:
        name: the domain's.
        rows: numbers of test rows.
        train_rows: training rows of the same domain, or of the same cells of class and domain.
        over_real: accuracy with the method minus that of real rows alone; None without a test row.
    """

    name: str
    rows: npt.NDArray[np.int64]
    train_rows: int
    over_real: Interval | None = None


@dataclass(frozen=True)
class Domains:
    """Test rows by domain.

    Attributes:
        inside: rows of a domain that their class has its training rows in (`domains.familiar`).
        outside: all others.
        each: a domain each, those with test rows.
    """

    inside: Part
    outside: Part
    each: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything the report tells about held-out rows.

    Attributes:
        method: what is measured.
        arms: by name; `real` and the method's always, then the controls.
        intervals: the method minus each other arm, by column (all, many, medium, few, unseen, balanced).
        handed_out: the classifier that validation chose.
        val_gain: the method minus real rows alone on `val`, by the metric; None without a row there.
        repeated_classes: classes of one row, which SMOTE could only repeat.
        domains: test rows by domain, where images have one.
    """

    method: Method
    data: EvaluationData
    metric: Metric
    seeds: int
    arms: Mapping[str, Arm]
    intervals: Mapping[str, Mapping[str, Interval]]
    choice: Chosen
    handed_out: HandedOut
    val_gain: Interval | None = None
    repeated_classes: tuple[str, ...] = ()
    domains: Domains | None = None

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
