"""docs/data-formats.md leaves no code of raw data out."""

import re
from pathlib import Path

import models.raw.canonical

PAGE = Path(__file__).parents[3] / "docs" / "data-formats.md"
SOURCES = Path(models.raw.canonical.__file__).parent
ITEM = re.compile(r"""ItemProblem\(\s*"(\w+)\"""")
WHOLE = re.compile(r"""(?:InputProblem|_fail|_bad|Vocabulary)\(\s*(?:"\w+", )?"(\w+_\w+)\"""")


def found(pattern):
    return {
        code for path in SOURCES.glob("*.py") for code in pattern.findall(path.read_text("utf-8"))
    }


def listed(heading, end):
    table = PAGE.read_text("utf-8").partition(heading)[2].partition(end)[0]
    return set(re.findall(r"`(\w+)`", table))


def test_every_fault_of_an_item_is_on_the_page():
    raised = found(ITEM)
    assert len(raised) > 15
    assert raised <= listed("| code | the item |", "## ")


def test_every_code_that_refuses_a_set_is_on_the_page():
    raised = found(WHOLE) - found(ITEM)
    assert len(raised) > 10
    assert raised - listed("## Every code", "\f") == {"unsupported_media_type"}
