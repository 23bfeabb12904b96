"""The harness can fail: each mutant is caught by its scenario, which the code as it is passes."""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from benchmarks.storm_mutants import MUTANTS, Mutant, mutated
from benchmarks.storm_world import ROOT
from tests.storm.scenarios import SCENARIOS, stage


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught_and_the_code_as_it_is_passes(name: str, tmp_path: Path) -> None:
    script = SCENARIOS[name]
    with (
        stage(tmp_path / "mutant", mutated(name, tmp_path)) as mutant,
        stage(tmp_path / "whole", ROOT) as whole,
        # Side by side: most of a scene is waiting for leases.
        ThreadPoolExecutor(2) as both,
    ):
        caught, passed = both.submit(script, mutant), both.submit(script, whole)
        told = caught.result()
        shown = [one for one in told if re.search(MUTANTS[name].shown_by, one)]
        assert shown, f"the mutant {name!r} was not caught; the scene told {told}"
        assert not passed.result()
    assert not _left_in(tmp_path), "a process outlived its scene"


def _left_in(folder: Path) -> list[str]:
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                left.append(" ".join(process.cmdline()))
    return left


def test_a_mutant_whose_text_has_moved_says_so(tmp_path: Path) -> None:
    (tmp_path / "here.py").write_text("twice = 1\ntwice = 1\n")
    for old, count in (("twice = 1\n", 2), ("never\n", 0)):
        with pytest.raises(ValueError, match=rf"there {count} times: the code has moved"):
            Mutant("a mutant", "here.py", old, "", "").apply(tmp_path)
