"""What validation judges classifiers on images by."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_LOG_TEMPERATURES = (-4.0, 4.0)


def log_score(
    logits: npt.NDArray[np.floating], y: npt.NDArray[np.integer], *, balanced: bool = False
) -> float:
    """Return the mean log-probability of the right class, at the temperature at which it is highest.

    A classifier that was trained with mixed labels says less than it knows, one that was trained to the
    end on a hundred images more. Both are brought to what they know by the one number of Guo et al. 2017,
    so that settings are told apart by what they get right.

    Args:
        logits: `n classes`.
        y: right classes, `n`.
        balanced: whether classes weigh alike, as far as they have an image; otherwise images do.
    """
    rows, wide = np.arange(len(y)), np.asarray(logits, dtype=np.float64)
    counts = np.bincount(y)
    weights = 1 / counts[y] if balanced else np.ones(len(y))
    weights /= weights.sum()

    def loss(log_temperature: float) -> float:
        said = log_softmax(wide / np.exp(log_temperature), axis=1)
        return -float(said[rows, y] @ weights)

    found = minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
    return -float(found.fun)
