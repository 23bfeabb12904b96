"""Without a model, captions are grouped by the phrases that they share."""

import random

import pytest

from models.alia.descriptions import check
from models.alia.phrases import cluster

PREFIX = "a photo of a {}"
CLASSES = ("robin", "american_robin", "crow", "zero", "eight")


def settings(captions: list[str], most: int = 9) -> list[str]:
    found = cluster(captions, CLASSES, PREFIX, most)
    check(found, CLASSES, "descriptions", PREFIX)
    return [description.removeprefix(f"{PREFIX} ") for description in found]


def test_what_most_captions_share_comes_first_in_its_commonest_wording() -> None:
    captions = [
        "a photo of a crow in the snow",
        "there is a robin standing in the snow",
        "a black bird walking on snow",
        "a bird perched on a tree branch with a blurred background",
        "two american robins sitting on branches",
        "Crow, on a branch.",
        "a robin at night",
        "a crow at night on a wire",
        "a crow at night with a red beak",
        "a crow at night",
    ]
    assert settings(captions) == ["at night", "in the snow", "on a branch"]
    assert settings(captions, most=1) == ["at night"]


def test_captions_in_another_order_give_the_same() -> None:
    random.seed(0)
    places = [f"a {name} {place}" for name in CLASSES for place in ("at sea", "in fog", "on mud")]
    captions = [caption for number, caption in enumerate(places) for _ in range(1 + number % 3)]
    expected = settings(captions)
    for _ in range(5):
        random.shuffle(captions)
        assert settings(captions) == expected


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("a photo of an eight in snow", ["in snow"]),
        ("a bird on a tree on a tree", ["on a tree"]),
        ("a bird in front of a red barn and a fence", ["in front of a red barn"]),
        ("a bird on a tall building looking down", ["on a tall building"]),
        ("a bird at a swimming pool in the evening", ["at a swimming pool", "in the evening"]),
        ("a fish swimming underwater", ["underwater"]),
        ("a bird with a red beak", []),
        ("a bird with a clear blue sky", ["with a clear blue sky"]),
        ("a bird beside a crow", []),
        ("a bird lying on its back", []),
        ("a bird looking to the left", []),
        ("a bird in a", []),
        ("a close-up photo of a bird", []),
        ("", []),
    ],
)
def test_phrases_of_place_time_and_light_are_settings_and_others_are_not(
    caption: str, found: list[str]
) -> None:
    assert settings([caption, caption]) == found


def test_what_one_caption_in_many_says_is_left_out_unless_nothing_else_is_said() -> None:
    assert settings(["a crow at sea"] * 300 + ["a crow in fog"]) == ["at sea"]
    assert settings(["a crow in fog", "a crow at sea", "a crow"]) == ["at sea", "in fog"]


def test_equal_captions_count_each_time() -> None:
    assert settings(["a crow in fog"] * 3 + ["a crow at sea"] * 2) == ["in fog", "at sea"]
