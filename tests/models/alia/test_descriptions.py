"""Descriptions: one place for the class, no class, nothing said twice."""

import pytest

from models.alia.descriptions import LONGEST, check, fill, has_form, leaked, setting_of
from models.errors import InputProblem

CLASSES = ("seven", "003.American_robin", "a")
PREFIX = "a photo of a {}"


def test_good_descriptions_pass() -> None:
    check(["a photo of a {} in the snow", "a sketch of a {}"], CLASSES, "descriptions")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("a photo in the snow", "has 0 `{}`"),
        ("a {} beside a {}", "has 2 `{}`"),
        ("a {} beside {class}", "a brace besides"),
        ("a {} in\nsnow", "line break"),
        ("{}", f"has 2 characters, expected 3 to {LONGEST}"),
        ("a {} " + "x" * LONGEST, "characters"),
        ("a {} beside two Sevens", "names the class 'seven'"),
        ("a {} with an american robin", "names the class '003.American_robin'"),
        ("a photo of  a {} At sea.", "says the same as description 0"),
    ],
)
def test_a_bad_description_is_named_by_number_and_text(fault: str, why: str) -> None:
    with pytest.raises(InputProblem) as caught:
        check(["a photo of a {} at sea", fault], CLASSES, "descriptions")
    assert (caught.value.code, caught.value.param) == ("bad_description", "descriptions")
    assert f"Description 1, {fault!r}, " in caught.value.detail
    assert why in caught.value.detail


def test_words_of_the_prefix_may_be_a_class() -> None:
    check(["a photo of a {} at sea"], ["photo", "sketch"], "descriptions", PREFIX)
    with pytest.raises(InputProblem, match="sketch"):
        check(["a photo of a {} on a sketch"], ["photo", "sketch"], "descriptions", PREFIX)


@pytest.mark.parametrize(
    ("description", "prefix", "setting"),
    [
        ("a photo of a {} in the snow", PREFIX, "in the snow"),
        ("A  photo of an {}, at night", PREFIX, "at night"),
        ("a photo of a {} bird on a wire", "a photo of a {} bird", "on a wire"),
        ("a photo of a {} birdhouse", "a photo of a {} bird", "a photo of a birdhouse"),
        ("a sketch of a {} at sea", PREFIX, "a sketch of a at sea"),
        (PREFIX, PREFIX, ""),
    ],
)
def test_the_setting_is_what_follows_the_prefix(
    description: str, prefix: str, setting: str
) -> None:
    assert setting_of(description, prefix) == setting


def test_a_description_has_the_form_of_a_prefix_or_not() -> None:
    assert has_form("A photo of an {} at sea", PREFIX)
    assert not has_form("a sketch of a {} at sea", PREFIX)


@pytest.mark.parametrize(
    ("name", "filled"),
    [
        ("seven", "a photo of a seven at sea"),
        ("American_robin", "a photo of a American robin at sea"),
        ("003.American-robin", "a photo of a American robin at sea"),
        ("7", "a photo of a 7 at sea"),
        ("_", "a photo of a _ at sea"),
        ("{}", "a photo of a {} at sea"),
    ],
)
def test_a_class_is_written_as_words(name: str, filled: str) -> None:
    assert fill("a photo of a {} at sea", name) == filled


@pytest.mark.parametrize(
    ("text", "class_name"),
    [
        ("on a seventh day", None),
        ("by SEVEN trees", "seven"),
        ("foxes in a field", "fox"),
        ("an american-robin on a wire", "003.American_robin"),
        ("a black and white picture", None),
        ("c++ on a screen", "c++"),
    ],
)
def test_a_class_is_found_as_whole_words_only(text: str, class_name: str | None) -> None:
    assert leaked(text, (*CLASSES, "fox", "c++")) == class_name
