"""Whether there is anything to learn: two classes or more, and none of a single row."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.embeddings.parts import SPLITS, TEST, TRAIN, UNASSIGNED, VAL, Labelled, locate
from models.embeddings.vocabulary import FROM_0
from models.embeddings.wording import listing, show
from models.errors import InputProblem


def check_class_sizes(
    y: npt.NDArray[np.int64], split: npt.NDArray[np.int8], classes: Sequence[str], where: str
) -> None:
    """Refuse labels that no method can learn from.

    Counted are the labelled rows that may be trained on: split `train`, or none. A class without
    any is taken, as a generator may know it by its vector alone.

    Raises:
        InputProblem: ``no_labels``, ``single_class``, ``class_too_small``.
    """
    if not (y >= 0).any():
        raise InputProblem(
            "no_labels",
            f"{where} has no label in any of {len(y):,} rows; expected some of two classes or more.",
            "columns.y",
        )
    trainable = ((split == TRAIN) | (split == UNASSIGNED)) & (y >= 0)
    counts = np.bincount(y[trainable], minlength=len(classes))
    present = np.flatnonzero(counts).tolist()
    if len(present) < 2:
        found = f"only the class {show(classes[present[0]])}" if present else "no row at all"
        raise InputProblem(
            "single_class",
            f"{where} has {found} among the {int(trainable.sum()):,} rows that may be trained on; "
            "expected two classes or more.",
            "columns.y",
        )
    small = np.flatnonzero(counts == 1).tolist()
    if small:
        rows = np.flatnonzero(trainable & (y == small[0]))
        many = f" (the first in row {rows[0]}, counted over the whole dataset from 0)"
        raise InputProblem(
            "class_too_small",
            f"{where} has a single trainable row of {listing(classes[i] for i in small)}{many}; "
            "expected two or more of each class. Add rows, or leave the class out.",
            "columns.y",
        )


def check_unlabelled(
    y: npt.NDArray[np.int64], split: npt.NDArray[np.int8], parts: Sequence[Labelled]
) -> None:
    """Refuse rows that nothing can be told by: in `val` or `test`, and without a label.

    Raises:
        InputProblem: ``unlabelled_held_out`` with the row.
    """
    wrong = np.flatnonzero((y < 0) & ((split == VAL) | (split == TEST)))
    if not len(wrong):
        return
    part, row = locate(parts, int(wrong[0]))
    (name,) = [word for word, code in SPLITS.items() if code == split[wrong[0]]]
    more = f", as {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
    raise InputProblem(
        "unlabelled_held_out",
        f"{part.y.where} has no label in row {row} ({FROM_0}), which is in {name!r}{more}; rows "
        "without a label may only be trained on.",
        "columns.y",
    )
