"""Methods side by side over seeds: percent by column, and the lead of the first with its interval."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.face import Face
from benchmarks.figures import Estimate, forest
from models.evaluation.interval import Interval, Resampled
from models.evaluation.metrics import Metric, accuracy, balanced_accuracy

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """What methods said about the same test rows.

    Attributes:
        y: class of each test row, n.
        predictions: method → int64 `seeds n` (one row for a method that has no seed).
        columns: name → classes whose mean recall it is; `all` is the accuracy over all rows.
        method: the one whose leads are told.
        words: methods in words.
        groups: rows that belong together, n.
        metric: what leads are about.
    """

    y: Labels
    predictions: Mapping[str, Labels]
    columns: Mapping[str, Labels]
    method: str = "gelda"
    words: Mapping[str, str] = field(default_factory=dict)
    groups: Labels | None = None
    metric: Metric = "accuracy"

    def values(self, name: str) -> dict[str, float]:
        """Return percent by column."""
        right, k = self.predictions[name] == self.y, int(self.y.max()) + 1
        found = {"all": accuracy(right)} | {
            column: balanced_accuracy(right, self.y, k, classes)
            for column, classes in self.columns.items()
        }
        return {column: round(100 * value, 2) for column, value in found.items()}

    def lead(self, name: str, classes: Labels | None = None) -> Interval:
        """Return the method minus another, as shares, with its interval."""
        right = [self.predictions[one] == self.y for one in (self.method, name)]
        resampled = Resampled.of(right[0], right[1], self.y, groups=self.groups)
        return resampled.interval(
            "balanced_accuracy" if classes is not None else self.metric, classes
        )

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return everything by method, as JSON."""
        told: dict[str, dict[str, Any]] = {}
        for name in self.predictions:
            told[name] = {"label": self.words.get(name, name), **self.values(name)}
            if name != self.method:
                lead = self.lead(name)
                told[name]["lead"] = [round(100 * v, 2) for v in (lead.mean, lead.low, lead.high)]
                told[name]["standing"] = lead.standing
        return told

    def show(self, face: Face, title: str, figure: str) -> dict[str, dict[str, Any]]:
        """Print the table, draw the leads where figures are wanted, return the figures as JSON."""
        told = self.figures()
        columns = ("all", *self.columns)
        face.say(title)
        lead = f"{self.words.get(self.method, self.method)} minus it"
        face.table(("method", *columns, f"{lead} [95 %]"), list(_rows(told, columns)))
        leads = [
            (f["label"], Estimate(f["lead"][0], f["lead"][1], f["lead"][2]))
            for f in told.values()
            if "lead" in f
        ]
        face.figure(figure, lambda: forest(leads, x_label=f"{lead}, points", title=title))
        return told


def pooled(seeds: Sequence[Mapping[str, Labels]]) -> dict[str, Labels]:
    """Return what methods said in every seed, one under the other; methods that all seeds have."""
    common = [name for name in seeds[0] if all(name in one for one in seeds)]
    return {name: np.concatenate([np.atleast_2d(one[name]) for one in seeds]) for name in common}


def _rows(told: Mapping[str, Mapping[str, Any]], columns: Sequence[str]) -> Iterator[list[str]]:
    for figures in told.values():
        lead = figures.get("lead")
        size = "" if lead is None else f"{lead[0]:+.2f} [{lead[1]:+.2f}, {lead[2]:+.2f}]"
        standing = figures.get("standing", "")
        yield [
            figures["label"],
            *(f"{figures[c]:.2f}" for c in columns),
            f"{size} {standing}".strip(),
        ]
