"""What a reader should know before believing the figures, each in a sentence."""

import hashlib
from collections.abc import Sequence

import numpy as np

from models.evaluation.arms import Method
from models.evaluation.data import EvaluationData, LabelledRows
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
    method = result.method
    found = [
        _repeated_in_test(result),
        *([_copied(method, fidelity), _near_copies(method, fidelity)] if fidelity else []),
        _group_in_test(result),
        _too_small(method, too_small),
        sampled(result.data),
        _validation(result),
        _one_seed(result),
        _coarse(result),
        _unseen(result),
        _repeated(result),
        _many_looks(result),
        _own_features(method, fidelity),
        _made_once(method),
    ]
    return [sentence for sentence in found if sentence]


def _repeated_in_test(result: Result) -> str:
    """Rows are told apart by their hash: training sets may have millions."""
    data, row = result.data, result.method.row
    known = set(_identities(data.train))
    repeated = sum(one in known for one in _identities(data.test))
    if not repeated:
        return ""
    return (
        f"{repeated} of {len(data.test.y)} test {row}s are training {row}s, value for value: the figures "
        "are too good by what was learnt by heart. Leave duplicates out, or name a group column."
    )


def _identities(rows: LabelledRows) -> list[bytes]:
    if rows.digests is not None:
        return list(rows.digests)
    return [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows.x]


def _copied(method: Method, fidelity: Fidelity) -> str:
    row, figure = method.row, fidelity.figures["copy_share"]
    if not figure.value:
        return ""
    # Up to two digits: one row in a million is a copy too.
    share = f"{100 * figure.value:.2g} %"
    return (
        f"{share} of {figure.synthetic:,} synthetic {row}s are training {row}s, value for value or but "
        "for rounding: whoever gets them gets those."
    )


def _near_copies(method: Method, fidelity: Fidelity) -> str:
    row, figure = method.row, fidelity.figures["near_share_5"]
    if (figure.value or 0) < NEAR_COPIES:
        return ""
    keeps = (
        "edits keep close to their sources"
        if method.edits
        else "the generator keeps close to what it was trained on"
    )
    return (
        f"{100 * (figure.value or 0):.0f} % of synthetic {row}s lie nearer to a training {row} than all "
        f"but 5 % of held-out {row}s do: {keeps}, so mind "
        f"whom you give its {row}s to, and do not count them as new examples."
    )


def _own_features(method: Method, fidelity: Fidelity | None) -> str:
    """Latents are compared where no head has moved them; images only where a network has."""
    if method.makes == "latents" or fidelity is None:
        return ""
    return (
        "How real and how new the images are is measured on features of a classifier that was trained on "
        "the same training images. It knows those better than held-out ones, and so the reference, which "
        "is made of them as far as they go, may look worse than a perfect generator would."
    )


def _made_once(method: Method) -> str:
    first, again = (
        ("edits were made once", "making of the edits")
        if method.edits
        else ("generator was trained once", "training of the generator")
    )
    return f"The {first}: the interval covers {method.fitted}s and test {method.row}s, not another {again}."


def _group_in_test(result: Result) -> str:
    train, test = result.data.train.group, result.data.test.group
    if train is None or test is None:
        return ""
    shared = len(np.intersect1d(train, test))
    if not shared:
        return ""
    counted = f"{shared} group has" if shared == 1 else f"{shared} groups have"
    return f"{counted} {result.method.row}s in train and in test, as the dataset's own splits have it: that leaks."


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _classes(number: int, verb_one: str, verb_many: str) -> str:
    return f"{number} class {verb_one}" if number == 1 else f"{number} classes {verb_many}"


def _too_small(method: Method, too_small: Sequence[str]) -> str:
    if not too_small:
        return ""
    counted = _classes(len(too_small), "has", "have")
    return (
        f"{counted} no {method.row} in one of train, val and test, and so cannot be learned, chosen for or "
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
    rows, row = len(result.data.val.y), result.method.row
    if not rows:
        return f"There were no validation {row}s: nothing was chosen, the first candidates stand."
    if rows < TINY_VAL_ROWS:
        chosen = "temperature and share" if result.method.makes == "latents" else "settings"
        return (
            f"Validation has only {rows} {row}s: the choice of {chosen} is little better than chance. "
            "The test figures stay honest."
        )
    return ""


def _one_seed(result: Result) -> str:
    if result.seeds > 1:
        return ""
    return (
        f"Each {result.method.fitted} was trained once: the interval covers test {result.method.row}s "
        "only. Use more seeds."
    )


def _coarse(result: Result) -> str:
    counts = np.bincount(result.data.test.y, minlength=len(result.data.classes))
    coarse = int(((counts > 0) & (counts < COARSE_TEST_ROWS)).sum())
    if not coarse:
        return ""
    counted = _classes(coarse, "has", "have")
    return (
        f"{counted} fewer than {COARSE_TEST_ROWS} test {result.method.row}s: recall there moves in large steps, "
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
    return (
        f"{counted} no training {result.method.row}; controls add nothing there: {_names(empty)}."
    )


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
        f"The same test {result.method.row}s serve {number} comparisons: of twenty intervals at 95 % one is "
        "expected to miss. Nothing was chosen on them."
    )
