"""docs/data-formats.md says what the readers do, and leaves no code out."""

import doctest
import re
from pathlib import Path

import models.embeddings.canonical

PAGE = Path(__file__).parents[3] / "docs" / "data-formats.md"
SOURCES = Path(models.embeddings.canonical.__file__).parent
RAISED = re.compile(
    r"""(?:Problem|fail|_problem|arrow_problems|Vocabulary)\(\s*(?:"\w+", )?"(\w+_\w+)\""""
)


def test_every_example_of_the_page_is_true():
    outcome = doctest.testfile(str(PAGE), module_relative=False)
    assert outcome.attempted > 70
    assert outcome.failed == 0


def test_every_code_that_is_raised_is_on_the_page():
    raised = {
        code for path in SOURCES.glob("*.py") for code in RAISED.findall(path.read_text("utf-8"))
    }
    assert len(raised) > 30
    table = PAGE.read_text("utf-8").partition("## Every code")[2]
    listed = set(re.findall(r"`(\w+)`", table))
    assert raised - listed == {"unsupported_media_type"}  # of the upload, above the table
