"""The plain HTTP example, run as a reader would run it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cultivar import Client

EXAMPLE = Path(__file__).parents[2] / "examples" / "pipeline_http.py"


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with Client.local(tmp_path_factory.mktemp("home")) as client:
        yield client


def test_it_needs_nothing_but_httpx_and_numpy():
    imported = set()
    for node in ast.walk(ast.parse(EXAMPLE.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"httpx", "numpy"}


def test_it_uploads_polls_downloads_and_trains(local):
    words = ["--url", local.base_url, "--key", local._connection.api_key, "--steps", "100"]
    run = subprocess.run(
        [sys.executable, str(EXAMPLE), *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"real only (0\.\d+), real \+ synthetic (0\.\d+)", run.stdout)
    assert found, run.stdout
    real, mixed = map(float, found.groups())
    # Six classes: chance is 0.167. The generator has had 100 steps, so no gain is asked for.
    assert min(real, mixed) > 0.4
    assert "succeeded" in run.stdout


def test_a_refusal_is_told_in_the_services_words(local):
    words = ["--url", local.base_url, "--key", "cv_nobody"]
    run = subprocess.run(
        [sys.executable, str(EXAMPLE), *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 1
    assert "invalid_key" in run.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "absent.npz", "--key", "cv_x"], "no such file: absent.npz"),
        (["--data", "short.npz", "--key", "cv_x"], "short.npz has no array x_test, y_test"),
        ([], "start a service, or name one by --url and --key"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(tmp_path, words, said):
    np.savez(tmp_path / "short.npz", x=np.zeros((2, 2)), y=np.zeros(2))
    home = {"CULTIVAR_HOME": str(tmp_path), "PATH": ""}
    run = subprocess.run(
        [sys.executable, str(EXAMPLE), *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=home,
    )
    assert run.returncode == 1
    assert said in run.stderr
    assert "Traceback" not in run.stderr
