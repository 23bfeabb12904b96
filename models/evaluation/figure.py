"""A figure that says how to read it: which way is better, what is best, on how many rows."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["lower", "higher", "near_reference"]

FEWEST_ROWS = 50
"""Rows a side that a figure needs: with fewer, a share of rows is known to 14 points at best."""


@dataclass(frozen=True)
class Figure:
    """One figure of synthetic rows.

    Attributes:
        label: in words.
        direction: which way is better.
        synthetic: rows of the synthetic side.
        real: rows of the real side.
        value: None where `reason` says why there is none.
        reference: what a perfect generator would get.
        low: of a 95 % interval, where there is one.
        high: likewise.
    """

    name: str
    label: str
    direction: Direction
    synthetic: int
    real: int
    value: float | None = None
    reference: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
