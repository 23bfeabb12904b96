"""Shares and their differences as reports have them: in percent and points, to two digits."""

import math
from typing import Any

from models.evaluation.interval import Interval


def percent(value: float) -> float | None:
    """Return a share in percent; None for NaN, which JSON has not."""
    return None if math.isnan(value) else round(100 * value, 2)


def in_points(interval: Interval) -> dict[str, Any]:
    """Return a difference with its interval and its standing, None where nothing was compared."""
    absent = math.isnan(interval.mean)
    return {
        "difference": percent(interval.mean),
        "low": percent(interval.low),
        "high": percent(interval.high),
        "standing": None if absent else interval.standing,
    }
