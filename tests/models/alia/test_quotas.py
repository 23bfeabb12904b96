"""Which edits are wanted: of each class evenly over descriptions, of each image equally often."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alia.quotas import Slot, slots

K = 3


@st.composite
def plans(draw: st.DrawFn) -> dict[str, object]:
    """Plans of three classes whose rows show up to four domains, or none of those described."""
    sizes = [draw(st.integers(0, 9)) for _ in range(K)]
    ends = np.cumsum(sizes).tolist()
    rows = [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]
    descriptions = draw(st.integers(1, 5))
    own = draw(st.dictionaries(st.integers(0, 26), st.integers(0, descriptions - 1)))
    return {
        "wanted": [draw(st.integers(0, 40)) for _ in range(K)],
        "rows_by_class": rows,
        "own": draw(st.sampled_from([None, own])),
        "n_descriptions": descriptions,
        "seed": draw(st.integers(0, 5)),
        "attempts": draw(st.integers(1, 4)),
    }


def of_class(found: list[Slot], label: int) -> list[Slot]:
    return [slot for slot in found if slot.label == label]


@given(plans())
def test_every_class_gets_what_is_wanted_evenly_over_descriptions(plan: dict) -> None:
    found, skipped = slots(**plan)
    for label, (wanted, rows) in enumerate(zip(plan["wanted"], plan["rows_by_class"], strict=True)):
        mine = of_class(found, label)
        assert len(mine) == (wanted if rows else 0)
        assert skipped.get(label, 0) == (0 if rows else wanted)
        counts = Counter(slot.description for slot in mine)
        every = [counts[number] for number in range(plan["n_descriptions"])]
        assert max(every) - min(every) <= 1
        assert all(set(slot.sources) <= set(rows) for slot in mine)


@given(plans())
def test_slots_have_numbers_of_their_own_and_are_in_their_order(plan: dict) -> None:
    found, _ = slots(**plan)
    numbers = [slot.number for slot in found]
    assert numbers == sorted(set(numbers))
    assert all(slot.number % K == slot.label for slot in found)


@given(plans())
def test_no_image_is_edited_into_its_own_domain_where_the_class_has_another(plan: dict) -> None:
    own = plan["own"] or {}
    for slot in slots(**plan).slots:
        rows = plan["rows_by_class"][slot.label]
        if any(own.get(row) != slot.description for row in rows):
            assert all(own.get(row) != slot.description for row in slot.sources)


@given(plans())
def test_attempts_take_other_sources_before_one_comes_again(plan: dict) -> None:
    own = plan["own"] or {}
    for slot in slots(**plan).slots:
        rows = plan["rows_by_class"][slot.label]
        others = {row for row in rows if own.get(row) != slot.description} or set(rows)
        assert len(slot.sources) == plan["attempts"]
        assert len(set(slot.sources)) == min(plan["attempts"], len(others))


@given(plans())
def test_equal_plans_give_equal_slots_and_more_wanted_keeps_those_before(plan: dict) -> None:
    found, _ = slots(**plan)
    assert slots(**plan).slots == found
    more = slots(**plan | {"wanted": [count + 7 * label for label, count in enumerate(plan["wanted"])]})  # fmt: skip
    for label in range(K):
        mine = of_class(found, label)
        assert of_class(more.slots, label)[: len(mine)] == mine


@given(plans())
def test_without_domains_to_avoid_every_image_is_used_before_any_twice(plan: dict) -> None:
    found, _ = slots(**plan | {"own": None})
    for label, rows in enumerate(plan["rows_by_class"]):
        used = Counter(slot.sources[0] for slot in of_class(found, label))
        every = [used[row] for row in rows]
        assert not rows or max(every) - min(every) <= 1


@pytest.mark.parametrize("domains", [2, 3, 4])
def test_a_round_that_can_be_had_gives_every_image_once_outside_of_its_domain(domains: int) -> None:
    for sizes in itertools.product(range(5), repeat=domains):
        rows = list(range(sum(sizes)))
        # What Hall's theorem asks for: images of a domain, and slots that ask for it, fit a round.
        if not rows or max(sizes) + -(-len(rows) // domains) > len(rows):
            continue
        own = dict(zip(rows, np.repeat(range(domains), sizes).tolist(), strict=True))
        found, _ = slots([3 * len(rows)], [rows], own, domains, 0)
        used = Counter(slot.sources[0] for slot in found)
        assert used == dict.fromkeys(rows, 3), sizes
        assert all(own[slot.sources[0]] != slot.description for slot in found), sizes


def test_a_biased_class_s_rare_images_carry_what_its_common_ones_cannot() -> None:
    own = dict.fromkeys(range(9), 0) | {9: 1}
    found, _ = slots([30], [list(range(10))], own, 3, 0)
    used = Counter(slot.sources[0] for slot in found)
    into_common = [slot.sources[0] for slot in found if slot.description == 0]
    assert into_common == [9] * 10
    assert sorted(used[row] for row in range(9)) == [2] * 7 + [3] * 2


@pytest.mark.parametrize("rows", [10, 12, 7])
def test_an_image_is_edited_into_every_description_before_any_twice(rows: int) -> None:
    found, _ = slots([rows * 4], [list(range(rows))], None, 4, 0)
    pairs = Counter((slot.sources[0], slot.description) for slot in found)
    assert len(pairs) == rows * 4


def test_single_edits_of_many_classes_are_spread_over_descriptions_too() -> None:
    found, _ = slots([1] * 12, [[row] for row in range(12)], None, 4, 0)
    assert Counter(slot.description for slot in found) == dict.fromkeys(range(4), 3)


def test_seeds_draw_other_sources_and_orders() -> None:
    one, other = (slots([20], [list(range(20))], None, 5, seed, 3).slots for seed in (0, 1))
    assert [slot.sources for slot in one] != [slot.sources for slot in other]


def test_further_attempts_spread_over_the_images_of_a_class() -> None:
    found, _ = slots([200], [list(range(20))], None, 4, 0, attempts=3)
    used = Counter(row for slot in found for row in slot.sources[1:])
    assert max(used.values()) < 2 * min(used.values())


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="no description"):
        slots([1], [[0]], None, 0, 0)
    with pytest.raises(ValueError, match="counts of 2 classes do not fit 1"):
        slots([1, 1], [[0]], None, 2, 0)
    assert slots([0, 0], [[], []], None, 0, 0) == ([], {})
