"""Sizes, lengths and rates of all items, in the few numbers that statistics show."""

from array import array
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from models.raw.audio import AudioFacts
from models.raw.checking import Facts
from models.raw.image import ImageFacts


class FactSheet:
    """Gathers what is known of each item, 16 bytes of it."""

    def __init__(self) -> None:
        self._first = array("d")
        self._second = array("d")
        self._formats: Counter[str] = Counter()
        self._rates: Counter[int] = Counter()

    def add(self, facts: Facts) -> None:
        if isinstance(facts, ImageFacts):
            self._first.append(facts.width)
            self._second.append(facts.height)
            self._formats[facts.format] += 1
        elif isinstance(facts, AudioFacts):
            self._first.append(facts.seconds)
            self._rates[facts.rate] += 1
            self._formats[facts.format] += 1
        else:
            self._first.append(facts.characters)

    def summary(self, modality: str) -> dict[str, Any]:
        """Return ``sizes`` in pixels, ``durations`` in seconds and ``rates`` in Hz, or ``lengths``."""
        first = np.array(self._first)
        if modality == "text":
            return {"lengths": _spread(first, whole=True)}
        formats = dict(sorted(self._formats.items()))
        if modality == "image":
            sides = {"width": first, "height": np.array(self._second)}
            sizes = {name: _spread(side, whole=True) for name, side in sides.items()}
            return {"formats": formats, "sizes": sizes}
        rates = {str(rate): count for rate, count in sorted(self._rates.items())}
        durations = _spread(first) | {"total": round(float(first.sum()), 3)}
        return {"formats": formats, "durations": durations, "rates": rates}


def _spread(values: npt.NDArray[np.float64], *, whole: bool = False) -> dict[str, Any]:
    found = {"min": values.min(), "median": np.median(values), "max": values.max()}
    return {name: int(value) if whole else round(float(value), 3) for name, value in found.items()}
