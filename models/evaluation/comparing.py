"""The method minus each other arm, in every column of the report."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models.evaluation.arms import Method
from models.evaluation.data import EvaluationData
from models.evaluation.interval import Interval, Resampled
from models.evaluation.metrics import balanced_accuracy, shot_groups
from models.evaluation.result import Arm

UNSEEN = "unseen"
"""The column of test rows whose cell (class in subdomain) has no training row."""


def compared(
    data: EvaluationData, arms: Mapping[str, Arm], method: Method
) -> dict[str, dict[str, Interval]]:
    """Return the interval of each column, by arm; a bootstrap draw serves all columns of an arm."""
    own = method.name
    test = data.test
    right = {name: arm.predictions == test.y for name, arm in arms.items()}
    unseen = unseen_cells(data)
    found = {}
    for name in arms:
        if name == own:
            continue
        resampled = Resampled.of(right[own], right[name], test.y, groups=test.group)
        found[name] = {
            "all": resampled.interval("accuracy"),
            **{
                group: resampled.interval("balanced_accuracy", labels)
                for group, labels in shot_groups(data.train_counts).items()
            },
            "balanced": resampled.interval("balanced_accuracy"),
        }
        if unseen is not None:
            rows, cells = unseen
            found[name][UNSEEN] = Resampled.of(
                right[own][:, rows],
                right[name][:, rows],
                cells,
                groups=None if test.group is None else test.group[rows],
            ).interval("balanced_accuracy")
    return found


def unseen_cells(
    data: EvaluationData,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Return numbers and cells of the test rows of unseen cells; None where there are none."""
    if not data.subdomains:
        return None
    rows = np.flatnonzero(data.unseen(data.test))
    return (rows, np.asarray(data.cells(data.test)[rows])) if len(rows) else None


def unseen_recall(data: EvaluationData, correct: npt.NDArray[np.bool_]) -> float:
    """Return the mean recall over unseen cells, 0 to 1; NaN where there are none."""
    unseen = unseen_cells(data)
    if unseen is None:
        return float("nan")
    rows, cells = unseen
    return balanced_accuracy(correct[:, rows], cells, len(data.cell_counts))
