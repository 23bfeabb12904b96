"""Prompts: each editor's own form, and templates of the caller's."""

import pytest

from models.alia.editing.prompts import prompts
from models.alia.spec import EditorName
from models.errors import InputProblem

PREFIX = "a photo of a {}"


@pytest.mark.parametrize(
    ("editor", "written"),
    [
        ("img2img", "a photo of a polar bear in the snow"),
        ("txt2img", "a photo of a polar bear in the snow"),
        ("lcm", "a photo of a polar bear in the snow"),
        ("instruct_pix2pix", "put it in the snow"),
        (
            "flux2_klein",
            "Change this into a photo of a polar bear in the snow. Keep the polar bear as it is.",
        ),
    ],
)
def test_each_editor_is_told_in_its_own_form(editor: EditorName, written: str) -> None:
    write = prompts(editor, None, PREFIX, "edit.template")
    assert write("a photo of a {} in the snow", "polar_bear") == written


def test_a_template_of_the_caller_s_is_filled_once() -> None:
    write = prompts("img2img", "{class}: {setting} ({description})", PREFIX, "edit.template")
    assert (
        write("a photo of a {} at night", "{setting}")
        == "{setting}: at night (a photo of a {setting} at night)"
    )


@pytest.mark.parametrize(
    ("template", "words"),
    [("make it {place}", "`{place}`"), ("make it snow", "no place"), ("a {class}", "no place"),
     ("{} {setting}", "`{}`")],
)  # fmt: skip
def test_a_template_without_a_place_for_the_domain_is_refused(template: str, words: str) -> None:
    with pytest.raises(InputProblem, match=words) as raised:
        prompts("img2img", template, PREFIX, "edit.template")
    assert (raised.value.code, raised.value.param) == ("bad_template", "edit.template")
