"""Which edits are wanted, before any is made: of each class evenly over descriptions, of each image equally often."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.seeds import derived_seed

_LOOKED_AT = 16
"""Images that wait for their turn, of which the one is taken that a description was given to least."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One wanted edit.

    Attributes:
        number: of its own among all slots: K × its place within its class + its label. Slots keep their
            numbers, descriptions and sources when more are wanted, of whatever class.
        label: its class.
        description: its description, by number.
        sources: rows to edit, in order: the first is its own, each further one is for another attempt. A
            class with few images repeats them.
    """

    number: int
    label: int
    description: int
    sources: tuple[int, ...]


class Slots(NamedTuple):
    """What is to be edited.

    Attributes:
        slots: by number: classes take turns.
        skipped: wanted edits of classes that have no image to edit, by label.
    """

    slots: list[Slot]
    skipped: dict[int, int]


def slots(
    wanted: Sequence[int],
    rows_by_class: Sequence[Sequence[int]],
    own: Mapping[int, int] | None,
    n_descriptions: int,
    seed: int,
    attempts: int = 1,
) -> Slots:
    """Return the slots of a plan; equal arguments give equal slots.

    Of a class no description is given more than once oftener than another. No image is edited into the
    domain that it shows, where the class has one of another domain; as far as that allows, none is edited
    twice before all were once.

    Args:
        wanted: (K,) edits of each class.
        rows_by_class: (K,) the rows of each class's training images.
        own: the number of the description that a row already is of; rows that are missing show none of
            them; None: nothing is avoided.
        n_descriptions: how many there are.
        seed: the job's.
        attempts: sources of a slot.

    Raises:
        ValueError: edits are wanted and there is no description, or counts and classes do not fit.
    """
    if len(wanted) != len(rows_by_class):
        raise ValueError(f"counts of {len(wanted)} classes do not fit {len(rows_by_class)}")
    if any(wanted) and n_descriptions < 1:
        raise ValueError("there is no description to edit into")
    found: list[Slot] = []
    skipped: dict[int, int] = {}
    for label, (count, rows) in enumerate(zip(wanted, rows_by_class, strict=True)):
        if count and not len(rows):
            skipped[label] = int(count)
        elif count:
            planned = _Class(label, len(wanted), rows, own or {}, n_descriptions, seed)
            found += [planned.next(attempts) for _ in range(count)]
    return Slots(sorted(found, key=lambda slot: slot.number), skipped)


class _Class:
    """The images of a class, handed out one after the other.

    A round gives every image once. Of the descriptions to come in a round all is known: they take turns.
    So each slot takes an image of the domain that is hardest to place in what is left: the one of which
    most images wait and for which most slots are to come, together. That finds a round without anyone in
    its own domain wherever there is one: domain g can be placed among s slots if its images and the slots
    that ask for it are s at most, and of domains at the limit the step takes from each.
    """

    def __init__(
        self,
        label: int,
        classes: int,
        rows: Sequence[int],
        own: Mapping[int, int],
        descriptions: int,
        seed: int,
    ) -> None:
        self._label, self._classes, self._place = label, classes, 0
        order = np.random.default_rng(derived_seed("sources", seed, label)).permutation(len(rows))
        self._rows = [int(rows[at]) for at in order]
        turns = np.random.default_rng(derived_seed("descriptions", seed)).permutation(descriptions)
        self._turns: list[int] = turns.tolist()
        groups: dict[int | None, list[int]] = {}
        for row in self._rows:
            groups.setdefault(own.get(row), []).append(row)
        self._groups = {domain: _Group(rows) for domain, rows in groups.items()}
        self._allowed = {
            number: [row for row in self._rows if own.get(row) != number] or self._rows
            for number in self._turns
        }
        # Further attempts begin elsewhere for each description, or the first images would serve all.
        self._cursor = {
            number: place * len(rows) // descriptions for place, number in enumerate(turns.tolist())
        }
        self._due = Counter[int]()
        self._left = 0

    def next(self, attempts: int) -> Slot:
        """Return the next slot."""
        if not self._left:
            self._begin_round()
        description = self._description(self._place)
        group = self._group_for(description)
        source = group.take(description)
        self._due[description] -= 1
        self._left -= 1
        number = self._classes * self._place + self._label
        self._place += 1
        sources = self._order(description, source, attempts)
        return Slot(number, self._label, description, sources)

    def _begin_round(self) -> None:
        self._left = len(self._rows)
        ahead = range(self._place, self._place + self._left)
        self._due = Counter(map(self._description, ahead))

    def _description(self, place: int) -> int:
        return self._turns[(place + self._label) % len(self._turns)]

    def _group_for(self, description: int) -> "_Group":
        others = [
            (domain, group) for domain, group in self._groups.items() if domain != description
        ]
        if not others:
            return self._groups[description]
        round_now = min(group.rounds for _, group in others)
        first = [(domain, group) for domain, group in others if group.rounds == round_now]
        return max(
            first, key=lambda one: one[1].waiting + (self._due[one[0]] if one[0] is not None else 0)
        )[1]

    def _order(self, description: int, source: int, attempts: int) -> tuple[int, ...]:
        """Return a slot's sources: its own, then others in turn, all of them before any comes again."""
        allowed, order = self._allowed[description], [source]
        for _ in allowed:
            if len(order) == attempts:
                break
            row = allowed[self._cursor[description] % len(allowed)]
            self._cursor[description] += 1
            if row != source:
                order.append(row)
        return tuple(order[attempt % len(order)] for attempt in range(attempts))


class _Group:
    """The images of a class that show one domain; each is given once before any is again.

    Attributes:
        rounds: how often all were given.
    """

    def __init__(self, rows: Sequence[int]) -> None:
        self._rows = list(rows)
        self._queue = list(rows)
        self._given = Counter[tuple[int, int]]()
        self.rounds = 0

    @property
    def waiting(self) -> int:
        """Images that this round has not given yet."""
        return len(self._queue)

    def take(self, description: int) -> int:
        """Return an image for a description, one that was not edited into it if there is one."""
        few = self._queue[:_LOOKED_AT]
        at = min(range(len(few)), key=lambda place: self._given[few[place], description])
        row = self._queue.pop(at)
        self._given[row, description] += 1
        if not self._queue:
            self._queue, self.rounds = list(self._rows), self.rounds + 1
        return row
