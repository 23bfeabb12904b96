"""The report's first words: whether it helped, by how much, and what does as well for less."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.evaluation.arms import OWN_FORMS, PUBLISHED, REAL, REDRAWN, Method
from models.evaluation.data import Labels
from models.evaluation.interval import Interval
from models.evaluation.result import Result

UNKNOWN = "unknown"
"""The standing where nothing can be said, beside those of `Interval`."""

FEWEST_TEST_ROWS = 20
"""Below this one row is more than 5 points, and the bootstrap takes chance for certainty."""


def points(value: float) -> str:
    """A difference of two shares as signed percentage points, with a true minus."""
    return signed(100 * value)


def signed(value: float, places: int = 1) -> str:
    """A number with its sign, a true minus, and no sign for what rounds to zero."""
    text = f"{value:+.{places}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def bracket(interval: Interval) -> str:
    """The 95 % interval in percentage points."""
    low, high = (signed(100 * value).lstrip("+") for value in (interval.low, interval.high))
    return f"[{low}, {high}]"


def verdict(result: Result) -> dict[str, Any]:
    """Whether it helps, the sentence that says so, and the control that comes nearest or ahead."""
    column = "all" if result.metric == "accuracy" else "balanced"
    metric = result.metric.replace("_", " ")
    over_real = result.intervals[REAL][column]
    rivals = {
        name: found[column]
        for name, found in result.intervals.items()
        if name != REAL and name not in OWN_FORMS
    }
    best = min(rivals, key=lambda name: rivals[name].mean) if rivals else None
    labels = {name: arm.label for name, arm in result.arms.items()}
    sentences = [
        _against_real(result.method, over_real, metric)
        + _against_rivals(result.method, rivals, labels, over_real),
        _by_group(result.method, result.intervals[REAL]),
        _semantics(result.intervals, column),
        _published(result.method, result.intervals, column),
        _by_domain(result),
    ]
    standing = over_real.standing
    if nothing := _nothing_added(result) or too_little(result.data.test.y, result.method.row):
        standing, sentences = UNKNOWN, [nothing]
    return {
        "helps": standing == "ahead",
        "standing": standing,
        "sentence": sentences[0],
        "details": [sentence for sentence in sentences[1:] if sentence],
        "metric": result.metric,
        "difference": round(100 * over_real.mean, 2),
        "low": round(100 * over_real.low, 2),
        "high": round(100 * over_real.high, 2),
        "best_control": best,
        "as_good_or_better": [n for n in rivals if rivals[n].standing != "ahead"],
    }


def too_little(y: Labels, row: str = "row") -> str:
    """Say that test rows (called `row`) of classes `y` can show nothing; empty where they can."""
    classes = len(np.unique(y))
    if len(y) >= FEWEST_TEST_ROWS and classes > 1:
        return ""
    rows = f"{len(y)} test {row}{'s' if len(y) != 1 else ''}"
    return (
        f"Too little is held out to tell whether it helps: {rows} of {classes} "
        f"class{'es' if classes != 1 else ''}. The figures are of no use; bring more labelled {row}s."
    )


def _nothing_added(result: Result) -> str:
    method = result.method
    if result.arms[method.name].rows_added:
        return ""
    why = {
        "latents": "the plan asks for no rows beside the real ones",
        "images": "no image of the training was synthetic",
        "edits": "no image of the training was an edit",
    }
    return f"Nothing was added, so nothing is gained: {why[method.product]}."


def _against_real(method: Method, over_real: Interval, metric: str) -> str:
    size = f"{points(over_real.mean)} points {bracket(over_real)}"
    made, alone = f"{method.label}'s {method.product}", f"real {method.row}s alone"
    if over_real.standing == "ahead":
        return f"{made} raise {metric} by {size} over {alone}"
    if over_real.standing == "behind":
        return f"{made} do harm: {metric} changes by {size} against {alone}"
    return f"No gain was shown: with {made} {metric} changes by {size} against {alone}"


def _against_rivals(
    method: Method, rivals: Mapping[str, Interval], labels: Mapping[str, str], over_real: Interval
) -> str:
    if not rivals:
        return "; no control was run."
    better = sorted((i.mean, n) for n, i in rivals.items() if i.standing == "behind")
    level = sorted((i.mean, n) for n, i in rivals.items() if i.standing == "level")
    if better:
        name = better[0][1]
        gap = rivals[name]
        lead = Interval(-gap.mean, -gap.high, -gap.low)
        more = _others(len(better) - 1, "is better too", "are better too")
        return f"; {labels[name]} does better, by {points(lead.mean)} points {bracket(lead)}{more}."
    if over_real.standing != "ahead":
        ahead = len(rivals) - len(level)
        return f"; of {len(rivals)} controls it is ahead of {ahead} and level with {len(level)}."
    if level:
        name = level[0][1]
        size = f"{points(rivals[name].mean)} {bracket(rivals[name])}"
        more = _others(len(level) - 1, "does too", "do too")
        return f"; {labels[name]} does as well ({method.label} minus it: {size}){more}."
    name = min(rivals, key=lambda n: rivals[n].mean)
    size = f"{points(rivals[name].mean)} {bracket(rivals[name])}"
    return f", and it is ahead of every control: of the nearest, {labels[name]}, by {size}."


def _others(number: int, one: str, several: str) -> str:
    if not number:
        return ""
    return f", and {number} other {'control ' + one if number == 1 else 'controls ' + several}"


def _by_group(method: Method, columns: Mapping[str, Interval]) -> str:
    told = [
        f"{group} {points(columns[group].mean)} {bracket(columns[group])}"
        for group in ("many", "medium", "few")
        if columns[group].mean == columns[group].mean
    ]
    if len(told) < 2:
        return ""
    rows = f"{method.row}s"
    return f"Recall against real {rows} alone, by training {rows} a class: {', '.join(told)}."


_STANDING = {"ahead": "ahead of", "level": "level with", "behind": "behind"}


def _semantics(intervals: Mapping[str, Mapping[str, Interval]], column: str) -> str:
    told = [
        f"{_STANDING[found.standing]} {_VECTORS[name]} ({points(found.mean)} {bracket(found)})"
        for name in REDRAWN
        if name in intervals and (found := intervals[name][column])
    ]
    return f"The class vectors are {_joined(told)}." if told else ""


def _published(method: Method, intervals: Mapping[str, Mapping[str, Interval]], column: str) -> str:
    if PUBLISHED not in intervals:
        return ""
    found = intervals[PUBLISHED][column]
    size = f"{points(found.mean)} {bracket(found)}"
    return f"{method.label} in this form is {_STANDING[found.standing]} the published one ({size})."


def _by_domain(result: Result) -> str:
    found = result.domains
    if found is None or found.inside.over_real is None or found.outside.over_real is None:
        return ""
    inside, outside = (
        f"{points(one.mean)} {bracket(one)}"
        for one in (found.inside.over_real, found.outside.over_real)
    )
    return (
        f"Accuracy against real {result.method.row}s alone: out of domain, where a class has few or no training "
        f"{result.method.row}s of the kind, {outside} points; in domain {inside}."
    )


_VECTORS = {
    "one_hot": "one-hot vectors",
    "shuffled_vectors": "the same vectors shuffled among classes",
    "no_subdomain": "the same without subdomains",
}


def _joined(words: Sequence[str]) -> str:
    return " and ".join(words)
