"""Whether there is anything to learn: two classes or more, and none of a single row."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.embeddings.parts import TRAIN, UNASSIGNED
from models.embeddings.wording import listing, show
from models.errors import InputProblem


def check_class_sizes(
    y: npt.NDArray[np.int64], split: npt.NDArray[np.int8], classes: Sequence[str], where: str
) -> None:
    """Refuse labels that no method can learn from.

    Counted are the rows that may be trained on: split `train`, or none. A class without any is
    taken, as a generator may know it by its vector alone.

    Raises:
        InputProblem: ``single_class``, ``class_too_small``.
    """
    trainable = (split == TRAIN) | (split == UNASSIGNED)
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
