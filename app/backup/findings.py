"""What a look at blobs and rows finds, said as it is found and counted."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Say = Callable[[str], None]

_SAY_SECONDS = 5.0
_HARMLESS = {"superfluous"}


@dataclass
class Findings:
    """Counts by kind: table, row, missing, damaged, superfluous; the last is no fault."""

    say: Say
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self.say(f"{kind:<12}{what}")

    @property
    def faults(self) -> int:
        return sum(count for kind, count in self.counts.items() if kind not in _HARMLESS)

    def sentence(self) -> str:
        """Return what is at fault, in words."""
        words = {
            "table": "damaged tables",
            "row": "rows that do not hold together",
            "missing": "missing blobs",
            "damaged": "damaged blobs",
        }
        return ", ".join(
            f"{word}: {self.counts[kind]}" for kind, word in words.items() if self.counts[kind]
        )


class Progress:
    """Says every few seconds how many blobs have been dealt with."""

    def __init__(self, say: Say, total: int) -> None:
        self._say = say
        self._total = total
        self._said_at = time.monotonic()
        self.blobs = 0
        self.bytes = 0

    def add(self, size: int) -> None:
        self.blobs += 1
        self.bytes += size
        if time.monotonic() - self._said_at > _SAY_SECONDS:
            self._said_at = time.monotonic()
            self._say(f"blobs       {self.blobs} of {self._total}, {in_words(self.bytes)} so far")


def in_words(size: int) -> str:
    """Return a number of bytes as people read it."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"
