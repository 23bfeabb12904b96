"""Loaded models, kept between tasks: the least recently used one goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Shelf:
    """At most `places` things, each loaded once while it stays.

    Keys name content (a blob's sha-256 and a device), so that nothing on the shelf can be stale.
    """

    def __init__(self, places: int = 4) -> None:
        self._places = places
        self._things: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        if key in self._things:
            self._things.move_to_end(key)
        else:
            thing = load()
            while len(self._things) >= self._places:
                self._things.popitem(last=False)
            self._things[key] = thing
        value: T = self._things[key]
        return value
