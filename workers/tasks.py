"""The one function that RQ may name. It names no job: SQL says what there is to do."""

from collections.abc import Callable

_ringers: list[Callable[[], None]] = []


def on_wake(ring: Callable[[], None]) -> None:
    """Have `ring` called at each wake-up of this process."""
    _ringers.append(ring)


def wake() -> None:
    """Make this process' parent look for a task now, not at its next regular look."""
    for ring in _ringers:
        ring()
