"""Whether a job may hand out what it made: the conditions of `release_if`, judged on validation rows.

Never on test rows: a result that is shown only where test liked it would be chosen on test.
"""

from dataclasses import asdict, dataclass
from typing import Any

from models.evaluation.data import LabelledRows
from models.evaluation.fidelity import Fidelity
from models.evaluation.interval import Interval
from models.evaluation.spec import ReleaseSpec
from models.evaluation.verdict import too_little

_FIGURES = {
    "max_copy_share": "copy_share",
    "max_near_share": "near_share_5",
    "min_nearest_ratio": "nearest_ratio",
    "max_nearest_ratio": "nearest_ratio",
    "max_frechet_ratio": "frechet_distance",
    "max_c2st": "c2st",
    "min_precision": "precision",
    "min_recall": "recall",
    "min_density": "density",
    "min_coverage": "coverage",
}


@dataclass(frozen=True)
class Condition:
    """One condition, what was found, and whether it holds.

    Attributes:
        found: None where `reason` says why it could not be measured.
    """

    name: str
    required: float
    found: float | None
    reason: str | None = None

    @property
    def holds(self) -> bool:
        if self.found is None:
            return False
        if self.name.startswith("max_"):
            return self.found <= self.required
        return self.found >= self.required

    @property
    def words(self) -> str:
        """What was found and what is required."""
        bound = "at most" if self.name.startswith("max_") else "at least"
        found = "could not be measured" if self.found is None else f"is {self.found:.4g}"
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.name} {found}{why}, {bound} {self.required:g} is required"


@dataclass(frozen=True)
class Release:
    """The judgement."""

    conditions: tuple[Condition, ...]

    @property
    def granted(self) -> bool:
        return all(condition.holds for condition in self.conditions)

    @property
    def sentence(self) -> str:
        """One sentence for the job's owner; of a refusal it names every condition that failed."""
        n = len(self.conditions)
        if self.granted:
            every = "The condition" if n == 1 else f"All {n} conditions"
            return f"{every} of release_if {'holds' if n == 1 else 'hold'} on validation rows."
        failed = [condition for condition in self.conditions if not condition.holds]
        told = "; ".join(condition.words for condition in failed)
        return f"Withheld, for on validation rows {len(failed)} of {n} {_noun(n)} failed: {told}."

    def as_json(self) -> dict[str, Any]:
        return {
            "granted": self.granted,
            "sentence": self.sentence,
            "measured_on": "val",
            "conditions": [asdict(one) | {"holds": one.holds} for one in self.conditions],
        }


def _noun(n: int) -> str:
    return "condition of release_if" if n == 1 else "conditions of release_if"


def judge(
    spec: ReleaseSpec, fidelity: Fidelity, gain: Interval | None, val: LabelledRows
) -> Release:
    """Hold what was found on `val` against the conditions.

    Args:
        spec: the conditions.
        fidelity: measured on `val`.
        gain: of the method over real rows alone on `val`, 0 to 1; None where that has no row.
        val: the rows themselves: too few of them show no gain.
    """
    found = _gains(gain, val) | _values(fidelity)
    return Release(
        tuple(Condition(name, value, *found[name]) for name, value in spec.conditions.items())
    )


def _gains(gain: Interval | None, val: LabelledRows) -> dict[str, tuple[float | None, str | None]]:
    if gain is None or too_little(val.y):
        reason = f"{len(val.y)} validation rows are too few, or of one class"
        return {"min_gain": (None, reason), "min_gain_low": (None, reason)}
    return {"min_gain": (100 * gain.mean, None), "min_gain_low": (100 * gain.low, None)}


def _values(fidelity: Fidelity) -> dict[str, tuple[float | None, str | None]]:
    found: dict[str, tuple[float | None, str | None]] = {}
    for condition, name in _FIGURES.items():
        figure = fidelity.figures[name]
        value, reason = figure.value, figure.reason
        if condition == "max_frechet_ratio" and value is not None:
            value, reason = _ratio(value, figure.reference)
        found[condition] = value, reason
    return found


def _ratio(value: float, reference: float | None) -> tuple[float | None, str | None]:
    if not reference:
        return None, "real rows are at no distance from each other"
    return value / reference, None
