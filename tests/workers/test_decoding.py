"""The decoding process: bounded, killable, and never more than a problem to its task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import InputProblem
from workers.decoder import _answer
from workers.decoding import _died, _result

_BREAK = """
from workers.decoder import limit_resources
limit_resources(memory_bytes=1 << 20, seconds={seconds}, file_bytes=1 << 20)
{act}
print("unharmed")
"""


@pytest.mark.parametrize(
    ("act", "found"),
    [
        ("bytearray(3 << 30)", "MemoryError"),
        ("open(__import__('tempfile').mktemp(), 'wb').write(b'x' * (2 << 20))", "File too large"),
        ("files = [open('/dev/null') for _ in range(1000)]", "Too many open files"),
        ("bytearray(16 << 20)", "unharmed"),
    ],
)
def test_what_a_bad_file_may_take_is_bounded(act: str, found: str) -> None:
    code = _BREAK.format(seconds=60, act=act)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found in done.stdout + done.stderr
    assert ("unharmed" in done.stdout) == (found == "unharmed")


def test_endless_work_is_ended() -> None:
    code = _BREAK.format(seconds=0, act="while True: pass")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode < 0


def test_a_reply_that_names_a_problem_raises_it() -> None:
    with pytest.raises(InputProblem) as caught:
        _result({"problem": ["non_finite_values", "Row 3 is NaN.", "x"]})
    assert (caught.value.code, caught.value.param) == ("non_finite_values", "x")


def test_a_full_disk_is_the_hosts_fault() -> None:
    with pytest.raises(OSError, match="No space left"):
        _result({"errno": 28})


def test_only_what_the_disk_is_to_blame_for_is_tried_again(tmp_path: Path) -> None:
    """A folder that is gone stays so: whoever called it a failed disk would try for ever."""
    with pytest.raises(FileNotFoundError):
        _answer(tmp_path / "gone" / "reply.json", {"ok": {}})


@pytest.mark.parametrize(("status", "word"), [(-11, "SIGSEGV"), (-9, "memory"), (3, "status 3")])
def test_a_decoder_that_dies_is_told_of(status: int, word: str) -> None:
    problem = _died(status, 10)
    assert problem.code == "decoding_failed"
    assert word in problem.detail
