"""How names and numbers out of an untrusted file are put into a sentence: short, and escaped."""

from collections.abc import Iterable, Sequence

SHOWN_ROWS = 10
SHOWN_NAMES = 20
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB")


def show(value: object) -> str:
    """Return ``value`` quoted and escaped, cut to 80 characters."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= 80 else text[:77] + "…")


def listing(names: Iterable[str]) -> str:
    """Return up to 20 quoted names with commas, and how many more there are."""
    every = list(names)
    if not every:
        return "none"
    words = ", ".join(show(name) for name in every[:SHOWN_NAMES])
    more = len(every) - SHOWN_NAMES
    return f"{words} and {more:,} more" if more > 0 else words


def row_listing(rows: Sequence[int], total: int) -> str:
    """Return e.g. ``rows 118, 204 and 3 more``; ``rows`` may be only the first of ``total``."""
    shown = rows[:SHOWN_ROWS]
    words = ", ".join(str(row) for row in shown)
    noun = "row" if total == 1 else "rows"
    more = total - len(shown)
    return f"{noun} {words} and {more:,} more" if more > 0 else f"{noun} {words}"


def size(count: int) -> str:
    """Return a number of bytes as a person reads it, e.g. ``3.6 TiB (4,000,000,000,000 bytes)``."""
    if count < 1024:
        return f"{count} bytes"
    power = min((count.bit_length() - 1) // 10, len(_UNITS))
    exact = "" if power >= len(_UNITS) or count % 1024**power == 0 else f" ({count:,} bytes)"
    return f"{count / 1024**power:,.4g} {_UNITS[power - 1]}{exact}"
