"""The package's public names are one sorted list, and importing it needs nothing of the server."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cultivar
from cultivar import _exceptions, specs

SOURCE = Path(cultivar.__file__).parent

IN_PROCESS = SOURCE / "sklearn" / "_in_process.py"
"""Runs the method in the caller's own process, by the server's packages, and is loaded only then."""


@pytest.mark.parametrize("module", [cultivar, specs])
def test_all_is_sorted_and_every_name_exists(module):
    assert module.__all__ == sorted(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_every_name_that_is_not_private_is_listed():
    public = {
        name
        for name, value in vars(cultivar).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("cultivar")
    }
    assert public - set(cultivar.__all__) == set()


def test_every_error_is_public():
    errors = {
        name
        for name, value in vars(_exceptions).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert errors - set(cultivar.__all__) == set()


def test_the_docstring_of_the_errors_draws_every_class():
    drawn = _exceptions.__doc__
    for name, value in vars(_exceptions).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert f"{name} " in drawn + " " or f"{name}\n" in drawn, name


@pytest.mark.parametrize(
    "path", sorted(set(SOURCE.rglob("*.py")) - {IN_PROCESS}), ids=lambda path: path.name
)
def test_the_client_imports_nothing_of_the_server(path):
    roots = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert roots & {"app", "workers", "models"} == set()


def test_what_needs_the_server_is_loaded_when_it_is_asked_for():
    code = (
        "import sys, cultivar; assert 'sklearn' not in sys.modules; import cultivar.sklearn; "
        "print(*[name for name in ('models', 'app', 'workers', 'torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_numbers_of_retries_and_time_outs_stand_in_one_file():
    """A number assigned to a capital name elsewhere is no time: those of `_constants` are."""
    times = ("TIMEOUT", "RETRY", "RETRIES", "POLL", "SECONDS_", "OUTAGE")
    for path in SOURCE.rglob("*.py"):
        if path.name == "_constants.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                names = [t.id for t in node.targets if isinstance(t, ast.Name)]
                assert not [n for n in names if n.isupper() and any(t in n for t in times)], path
