"""The README's ways in, run as they stand: only address, key and the length of training differ."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cultivar import Client

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme") / "home"


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with Client.local(home) as client:
        yield client.base_url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 24)
    np.savez(tmp_path / "birds.npz", x=rng.normal(size=(72, 4)).astype(np.float32), y=y)
    return tmp_path


def block(heading: str, language: str) -> str:
    """Return the first block of code under a heading."""
    section = README.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def ran(words: list[str], folder: Path, home: Path, url: str) -> str:
    done = subprocess.run(
        words,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
        cwd=folder,
        env={**os.environ, "CULTIVAR_URL": url, "CULTIVAR_HOME": str(home)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_way_from_python(folder: Path, home: Path, url: str) -> None:
    code = block("From Python", "python")
    short = code.replace("raise_to=200", 'raise_to=30, objective={"steps": 20}')
    assert short != code
    told = ran([sys.executable, "-c", f"{short}\nprint(x.shape, y.shape)"], folder, home, url)
    assert "Too little is held out to tell" in told, "72 rows leave 14 for the test"
    assert "real rows only" in told


def has_curl_and_jq() -> bool:
    """Say whether both are there, curl with ``--json`` (7.82 or newer)."""
    if not (shutil.which("curl") and shutil.which("jq")):
        return False
    options = subprocess.run(["curl", "--help", "all"], capture_output=True, text=True, check=False)
    return "--json" in options.stdout


@pytest.mark.skipif(not has_curl_and_jq(), reason="needs curl 7.82 or newer, and jq")
def test_the_way_by_curl(folder: Path, home: Path, url: str) -> None:
    code = block("From anything that speaks HTTP", "sh")
    short = (
        code.replace("http://127.0.0.1:8321", url)
        .replace("~/.cultivar/key", str(home / "key"))
        .replace('"plan"', '"objective": {"steps": 20}, "plan"')
    )
    told = ran(["bash", "-eu", "-o", "pipefail", "-c", short], folder, home, url)
    assert "event: job.succeeded" in told
    assert "Too little is held out to tell" in told
    assert (folder / "birds.zip").stat().st_size > 10_000
