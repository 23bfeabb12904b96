"""The arithmetic of plans: how many rows raise what there is to what is wanted. No numpy here: the
service's front end counts as well.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

Key = TypeVar("Key")

Cell = tuple[str, str]
"""Class and subdomain."""


def multiplied(counts: Mapping[Key, int], factor: float) -> dict[Key, int]:
    """Return ``factor`` new rows for each one, rounded half up.

    Python's own round() would turn 0.5 and 2.5 rows into 0 and 2.
    """
    return {key: math.floor(factor * n + 0.5) for key, n in counts.items()}


def raised(counts: Mapping[Key, int], target: int) -> dict[Key, int]:
    """Return the rows that are missing to ``target``."""
    return {key: max(0, target - n) for key, n in counts.items()}


def size(counts: Mapping[Key, int], match: Literal["largest", "median"] | None) -> int:
    """Return the largest or the median count; 0 of nothing."""
    if match == "median":
        return round(statistics.median(counts.values())) if counts else 0
    return max(counts.values(), default=0)


def flat(
    classes: Sequence[str], subdomains: Sequence[str], counts: Mapping[str, Mapping[str, int]]
) -> dict[Cell, int]:
    """Return a count for every cell, those without a row included, in the cells' order."""
    return {
        (label, subdomain): counts.get(label, {}).get(subdomain, 0)
        for label in classes
        for subdomain in subdomains
    }


def nested(
    classes: Sequence[str], subdomains: Sequence[str], count: Callable[[Cell], int]
) -> dict[str, dict[str, int]]:
    """Return ``count`` of every cell, by class and subdomain."""
    return {
        label: {subdomain: count((label, subdomain)) for subdomain in subdomains}
        for label in classes
    }
