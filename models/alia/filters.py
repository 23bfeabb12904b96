"""Which edits are used: decisions that are a function of stored scores alone, so that they can be taken again.

Source: Dunlap et al. 2023, section 3.3, for the semantic and the confidence filter; thresholds by class as
in Northcutt et al. 2021, Confident Learning, equation 2.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

Decision = Literal["kept", "black", "semantic", "unchanged", "mislabelled", "duplicate"]
"""What becomes of an edit: kept, or why not."""

Filter = Literal["semantic", "confidence", "duplicate"]
"""What can be switched. A black edit is a failure of its editor and is never used."""

Index = Literal["label", "prediction"]
"""Whose class's threshold a prediction is held against."""

DECISIONS: tuple[Decision, ...] = get_args(Decision)
"""All there are; of those that apply to an edit the first in this order is its own."""

Decisions = npt.NDArray[np.str_]

Part = TypeVar("Part")

LARGE = 0.25
"""Of all edits: a filter that drops a larger share is told of in words."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured of n edits, in the order in which they were planned.

    Attributes:
        label: int (n,) the class that each edit is to show.
        black: bool (n,) whether the editor made nothing but black.
        semantic: float (n,) by how much the likeliest positive prompt is likelier than the likeliest
            negative one, -1 to 1 (`Prompts.margin`); None where no image-text model looked.
        confidence: float (n, K) probabilities by a classifier of real images that has not seen the
            source; None where there is none.
        distance: float (n,) from each edit to its source (`duplicates.distance`); None where it was not
            measured, nan for an edit without a source.
        twins: int (m, 2) pairs of edits, the earlier first, that are nearer to each other than the
            distance of the spec (`duplicates.twins`); None where none were looked for.
    """

    label: npt.NDArray[np.integer[Any]]
    black: npt.NDArray[np.bool_]
    semantic: npt.NDArray[np.floating[Any]] | None = None
    confidence: npt.NDArray[np.floating[Any]] | None = None
    distance: npt.NDArray[np.floating[Any]] | None = None
    twins: npt.NDArray[np.integer[Any]] | None = None

    def __post_init__(self) -> None:
        n = len(self.label)
        for name in ("black", "semantic", "confidence", "distance"):
            found = getattr(self, name)
            if found is not None and len(found) != n:
                raise ValueError(f"{name} is of {len(found)} edits, label of {n}")


@dataclass(frozen=True, slots=True)
class Dropped:
    """What one filter dropped.

    Attributes:
        name: "black" or a filter's.
        dropped: edits that it dropped, which nothing before it had.
        share: of all edits, 0 to 1.
        sentence: what to make of it, where the share is large.
    """

    name: str
    dropped: int
    share: float
    sentence: str | None


def class_thresholds(
    p: npt.NDArray[np.floating[Any]], y: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.float64]:
    """Return float64 (K,): how sure classifiers are of each class, on real images of it that they have not seen.

    The mean probability of class k on images of class k; nan for a class without an image.

    Args:
        p: (n, K) probabilities of held-out or out-of-fold images.
        y: (n,) their classes.

    Raises:
        ValueError: not as many classes as rows.
    """
    if len(p) != len(y):
        raise ValueError(f"{len(p)} rows of probabilities do not fit {len(y)} classes")
    classes = p.shape[1]
    counts = np.bincount(y, minlength=classes).astype(np.float64)
    own = np.asarray(p[np.arange(len(y)), y], dtype=np.float64)
    sums = np.bincount(y, weights=own, minlength=classes)
    seen = counts > 0
    thresholds = np.full(classes, np.nan)
    thresholds[seen] = sums[seen] / counts[seen]
    return thresholds


def decide(
    scores: Scores,
    names: Collection[Filter],
    thresholds: npt.NDArray[np.floating[Any]] | None = None,
    index: Index = "label",
    distance: float = 0.0,
) -> Decisions:
    """Return what becomes of each edit, (n,) of `DECISIONS`: the first of them that applies.

    - *black*: always.
    - *semantic*: no positive prompt is likelier than every negative one; a tie is not enough.
    - *unchanged*: predicted as its own class with a probability above the threshold.
    - *mislabelled*: predicted as another class with a probability above it.
    - *duplicate*: nearer than ``distance`` to its source, or to an edit before it that is kept.

    Above and nearer are strict: a number equal to its threshold keeps. A threshold that is nan, of a class
    that was never seen, keeps all.

    Args:
        scores: of the edits; those that ``names`` need must be there.
        names: the filters that run.
        thresholds: (K,) of `class_thresholds`; needed by the confidence filter.
        index: whether an edit's threshold is that of its label or that of the class predicted.
        distance: of the duplicate filter.

    Raises:
        ValueError: a filter is to run whose scores are missing.
    """
    decisions = np.full(len(scores.label), "kept", dtype=f"<U{max(map(len, DECISIONS))}")

    def drop(where: npt.NDArray[np.bool_], decision: Decision) -> None:
        decisions[where & (decisions == "kept")] = decision

    drop(scores.black, "black")
    if "semantic" in names:
        drop(~(_needed(scores.semantic, "semantic") > 0), "semantic")
    if "confidence" in names:
        p = _needed(scores.confidence, "confidence")
        unchanged, mislabelled = _judged(scores.label, p, _needed(thresholds, "confidence"), index)
        drop(unchanged, "unchanged")
        drop(mislabelled, "mislabelled")
    if "duplicate" in names:
        drop(_needed(scores.distance, "duplicate") < distance, "duplicate")
        _drop_twins(decisions, _needed(scores.twins, "duplicate"))
    return decisions


def large_share(decisions: Decisions, names: Sequence[str] = ()) -> tuple[Dropped, ...]:
    """Return what each filter dropped, in the order in which they look.

    Args:
        decisions: of `decide`.
        names: filters that ran, told of even where they dropped nothing; others are where they did.
    """
    total, found = len(decisions), []
    for name, kinds in _KINDS.items():
        counts = {kind: int((decisions == kind).sum()) for kind in kinds}
        dropped = sum(counts.values())
        if dropped or name in names:
            share = dropped / total if total else 0.0
            sentence = _sentence(name, counts, total) if share > LARGE else None
            found.append(Dropped(name, dropped, share, sentence))
    return tuple(found)


_KINDS: dict[str, tuple[Decision, ...]] = {
    "black": ("black",),
    "semantic": ("semantic",),
    "confidence": ("unchanged", "mislabelled"),
    "duplicate": ("duplicate",),
}

_MEANING = {
    "semantic": (
        "the image-text model found what spoilt edits look like at least as likely as the subject. "
        "Look at some: either the editor spoils images, or `subject` and `negatives` do not fit these"
    ),
    "confidence": (
        "it trusts a classifier that knows the real images alone; where these are biased, the edits that "
        "break the bias look mislabelled to it. Look at some before you trust it"
    ),
    "duplicate": (
        "these edits hardly differ from their sources or from each other; a higher strength or guidance "
        "of the editor changes more"
    ),
}


def _sentence(name: str, counts: dict[Decision, int], total: int) -> str:
    share = f"{sum(counts.values()) / total:.0%}"
    if name == "black":
        return f"{share} of the edits came out black and cannot be used: the editor failed, or its safety checker blanked them."
    parts = ""
    if len(counts) > 1:
        told = [f"{count / total:.0%} as {kind}" for kind, count in counts.items()]
        parts = f" ({', '.join(told)})"
    return f"The {name} filter dropped {share} of the edits{parts}: {_MEANING[name]}."


def _needed(found: Part | None, name: str) -> Part:
    if found is None:
        raise ValueError(f"the {name} filter has nothing to judge by")
    return found


def _judged(
    label: npt.NDArray[np.integer[Any]],
    p: npt.NDArray[np.floating[Any]],
    thresholds: npt.NDArray[np.floating[Any]],
    index: Index,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return who is too surely of its own class, and who too surely of another."""
    if p.ndim != 2 or p.shape[1] != len(thresholds):
        raise ValueError(f"{len(thresholds)} thresholds do not fit probabilities of {p.shape}")
    rows = np.arange(len(p))
    # Between equal probabilities the label counts as predicted, whatever the order of classes.
    own = p[rows, label] >= p.max(axis=1, initial=0)
    predicted = np.where(own, label, p.argmax(axis=1))
    sure = p[rows, predicted] > thresholds[label if index == "label" else predicted]
    return own & sure, ~own & sure


def _drop_twins(decisions: Decisions, twins: npt.NDArray[np.integer[Any]]) -> None:
    """Drop each kept edit with a kept twin before it, the earlier first: a dropped one has no say."""
    for earlier, later in sorted(map(tuple, twins.tolist()), key=lambda pair: pair[::-1]):
        if decisions[earlier] == "kept" and decisions[later] == "kept":
            decisions[later] = "duplicate"
