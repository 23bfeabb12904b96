"""What a reader should know before believing the figures, each in a sentence."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation.data import EvaluationData
from models.evaluation.fidelity import Fidelity
from models.evaluation.result import Result

TINY_VAL_ROWS = 200
"""Below this the standard error of validation accuracy exceeds 3 points."""

COARSE_TEST_ROWS = 10
"""A class with fewer test rows has a recall in steps of 10 points or more."""

NEAR_COPIES = 0.15
"""Three times the share of near rows that new ones would have."""

NAMES_SHOWN = 6


def caveats(
    result: Result, too_small: Sequence[str], fidelity: Fidelity | None = None
) -> list[str]:
    """All that apply, the weightiest first."""
    found = [
        _repeated_in_test(result),
        *([_copied(fidelity), _near_copies(fidelity)] if fidelity else []),
        _group_in_test(result),
        _too_small(too_small),
        sampled(result.data),
        _validation(result),
        _one_seed(result),
        _coarse(result),
        _unseen(result),
        _repeated(result),
        _many_looks(result),
        "The generator was trained once: the interval covers heads and test rows, not another "
        "training of the generator.",
    ]
    return [sentence for sentence in found if sentence]


def _repeated_in_test(result: Result) -> str:
    """Rows are told apart by their hash: training sets may have millions."""
    data = result.data
    known = {_hash(row) for row in data.train.x}
    repeated = sum(_hash(row) in known for row in data.test.x)
    if not repeated:
        return ""
    return (
        f"{repeated} of {len(data.test.y)} test rows are training rows, value for value: the figures "
        "are too good by what was learnt by heart. Leave duplicates out, or name a group column."
    )


def _hash(row: npt.NDArray[np.floating[Any]]) -> bytes:
    return hashlib.blake2b(row.tobytes(), digest_size=8).digest()


def _copied(fidelity: Fidelity) -> str:
    figure = fidelity.figures["copy_share"]
    if not figure.value:
        return ""
    # Up to two digits: one row in a million is a copy too.
    share = f"{100 * figure.value:.2g} %"
    return (
        f"{share} of {figure.synthetic:,} synthetic rows are training rows, value for value or but "
        "for rounding: whoever gets them gets those."
    )


def _near_copies(fidelity: Fidelity) -> str:
    figure = fidelity.figures["near_share_5"]
    if (figure.value or 0) < NEAR_COPIES:
        return ""
    return (
        f"{100 * (figure.value or 0):.0f} % of synthetic rows lie nearer to a training row than all "
        "but 5 % of held-out rows do: the generator keeps close to what it was trained on, so mind "
        "whom you give its rows to, and do not count them as new examples."
    )


def _group_in_test(result: Result) -> str:
    train, test = result.data.train.group, result.data.test.group
    if train is None or test is None:
        return ""
    shared = len(np.intersect1d(train, test))
    if not shared:
        return ""
    counted = f"{shared} group has" if shared == 1 else f"{shared} groups have"
    return f"{counted} rows in train and in test, as the dataset's own splits have it: that leaks."


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _classes(number: int, verb_one: str, verb_many: str) -> str:
    return f"{number} class {verb_one}" if number == 1 else f"{number} classes {verb_many}"


def _too_small(too_small: Sequence[str]) -> str:
    if not too_small:
        return ""
    counted = _classes(len(too_small), "has", "have")
    return (
        f"{counted} no row in one of train, val and test, and so cannot be learned, chosen for or "
        f"reported on as the others are: {_names(too_small)}."
    )


def sampled(data: EvaluationData) -> str:
    """Say of which parts only a sample was used; nothing where all rows were."""
    parts = {"train": data.train, "val": data.val, "test": data.test}
    shown = [f"{len(parts[n].y):,} of {rows:,} {n} rows" for n, rows in data.whole.items()]
    if not shown:
        return ""
    return (
        f"Heads were trained and measured on samples, {' and '.join(shown)}: all rows of rare classes, "
        "of the others the same share."
    )


def _validation(result: Result) -> str:
    rows = len(result.data.val.y)
    if not rows:
        return "There were no validation rows: nothing was chosen, the first candidates stand."
    if rows < TINY_VAL_ROWS:
        return (
            f"Validation has only {rows} rows: the choice of temperature and share is little better "
            "than chance. The test figures stay honest."
        )
    return ""


def _one_seed(result: Result) -> str:
    if result.seeds > 1:
        return ""
    return "Each head was trained once: the interval covers test rows only. Use more seeds."


def _coarse(result: Result) -> str:
    counts = np.bincount(result.data.test.y, minlength=len(result.data.classes))
    coarse = int(((counts > 0) & (counts < COARSE_TEST_ROWS)).sum())
    if not coarse:
        return ""
    counted = _classes(coarse, "has", "have")
    return (
        f"{counted} fewer than {COARSE_TEST_ROWS} test rows: recall there moves in large steps, "
        "and the interval may be too narrow."
    )


def _unseen(result: Result) -> str:
    empty = [
        name
        for name, count in zip(result.data.classes, result.data.train_counts, strict=True)
        if not count
    ]
    if not empty:
        return ""
    counted = _classes(len(empty), "has", "have")
    return f"{counted} no training row; controls add nothing there: {_names(empty)}."


def _repeated(result: Result) -> str:
    if not result.repeated_classes:
        return ""
    counted = _classes(len(result.repeated_classes), "has", "have")
    return (
        f"{counted} a single training row, which SMOTE can only repeat: "
        f"{_names(result.repeated_classes)}."
    )


def _many_looks(result: Result) -> str:
    number = len(result.intervals)
    return (
        f"The same test rows serve {number} comparisons: of twenty intervals at 95 % one is "
        "expected to miss. Nothing was chosen on them."
    )
