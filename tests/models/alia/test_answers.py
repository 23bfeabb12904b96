"""What a language model answers is read as descriptions, or rejected with a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alia.answers import Parsed, Rejected, parse
from models.alia.descriptions import PLACE, check

PREFIX = "a photo of a {}"
CLASSES = ("robin", "american_robin", "crow")
SNOW, SEA = "a photo of a {} in the snow", "a photo of a {} at sea"


def read(text: str, most: int = 9, prefix: str = PREFIX) -> Parsed:
    return parse(text, prefix, CLASSES, most)


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps([SNOW, SEA]),
        f"Sure! Here they are:\n```json\n{json.dumps([SNOW, SEA], indent=2)}\n```\nAnything else?",
        json.dumps({"descriptions": [SNOW, SEA]}),
        json.dumps([{"description": SNOW}, {"description": SEA}]),
        f'Of [1] and [class]: ["{SNOW}", "{SEA}"]',
        f'["{SNOW}", "{SEA}", "a photo of a {{}} on a',
        f"['{SNOW}', '{SEA}']",
        f'<think>1. {SNOW} 2. ["no"]</think>\n1. {SNOW}\n2) {SEA}.',
        f"These are the domains:\n\n- {SNOW}\n* **{SEA}**\n",
        f'• "{SNOW}",\n• "{SEA}"',
        f"{SNOW}\n{SEA}",
        "1. Winter: A photo of an {} in the snow\n2. **Coast**: a photo of a {}, at sea",
        '["a photo of a {class} in the snow", "a photo of a { } at sea"]',
        "- a photo of a [class] in the snow\n- a photo of a <object> at sea",
        "- a photo of an American robin in the snow\n- a photo of a crow at sea",
    ],
)
def test_descriptions_are_found_whatever_surrounds_them(answer: str) -> None:
    found = read(answer)
    assert found.descriptions == (SNOW, SEA)
    assert found.rejected == ()
    assert found.stands


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("birds in the snow", "no_place"),
        ("a {} beside a {}", "two_places"),
        ("a sketch of a {} in the snow", "other_form"),
        ("a photo of a {} in { snow", "other_form"),
        ("a photo of a {}", "no_setting"),
        ("a photo of a {} among crows", "class_named"),
        ("a photo of a robin beside a crow", "class_named"),
        ("snow around an american-robin", "class_named"),
        ("a photo of a {} " + "and snow " * 40, "too_long"),
        ("A photo of a {} at  sea", "repeated"),
    ],
)
def test_a_line_that_is_no_description_is_rejected_with_its_reason(line: str, why: str) -> None:
    found = read(json.dumps([SEA, line]))
    assert found.descriptions == (SEA,)
    assert [one.why for one in found.rejected] == [why]


def test_what_comes_after_as_many_as_were_asked_for_is_rejected_and_the_answer_does_not_stand() -> (
    None
):
    twelve = [f"a photo of a {{}} in place number {n}" for n in range(12)]
    found = read("\n".join(f"{n}. {line}" for n, line in enumerate(twelve, 1)))
    assert found.descriptions == tuple(twelve[:9])
    assert found.rejected == tuple(Rejected(line, "too_many") for line in twelve[9:])
    assert not found.stands


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "The captions show birds in many places, above all in winter [1].",
        "I am sorry, but I cannot see any images.",
        "[[[[[[[",
        "{}" * 3,
        "[]",
        "[1, 2, null]",
    ],
)
def test_prose_and_garbage_give_nothing(answer: str) -> None:
    found = read(answer)
    assert found.descriptions == ()
    assert not found.stands


def test_an_answer_with_as_many_bad_lines_as_good_ones_does_not_stand() -> None:
    assert not read(json.dumps([SEA, "birds in the snow"])).stands
    assert read(json.dumps([SEA, SNOW, "birds in the snow"])).stands
    assert read(json.dumps([SEA, SEA, SEA])).stands


def test_the_class_takes_its_place_before_the_prefix_s_own_words() -> None:
    found = read('["a photo of a crow bird on a wire"]', prefix="a photo of a {} bird")
    assert found.descriptions == ("a photo of a {} bird on a wire",)


@given(st.lists(st.one_of(st.text(), st.sampled_from([SNOW, SEA, "crow", "{}"]))), st.text())
def test_whatever_is_found_passes_the_check_of_descriptions(pieces: list[str], glue: str) -> None:
    for answer in (json.dumps(pieces), glue.join(pieces), "\n- ".join(pieces)):
        found = read(answer, most=3)
        check(found.descriptions, CLASSES, "descriptions", PREFIX)
        assert len(found.descriptions) <= 3
        assert all(description.count(PLACE) == 1 for description in found.descriptions)
