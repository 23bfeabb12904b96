"""The page of promises names, for each fault, tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "promises.md"
TEST = re.compile(r"\[`(?P<name>test_\w+)`\]\((?P<path>[^)]+)\)")


def faults() -> dict[str, str]:
    """Return the rows of the table of faults, by their first cell."""
    section = PAGE.read_text().partition("\n## Faults\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def test_the_page_has_the_faults_that_are_promised_about() -> None:
    assert len(faults()) >= 19


@pytest.mark.parametrize("fault", faults())
def test_each_fault_names_tests_that_exist(fault: str) -> None:
    named = list(TEST.finditer(faults()[fault]))
    assert named
    for one in named:
        text = (PAGE.parent / one["path"]).read_text()
        assert f"def {one['name']}(" in text, one[0]
