"""What holds for the repository as a whole: paths, pins, commands, links, packages."""

import ast
import importlib.metadata
import os
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
BENCHMARKS = [
    path.stem
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if "\nif __name__" in path.read_text()
]


def tracked() -> list[Path]:
    """Return the repository's text files; in an export without git, what lies in its folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        folders = ("app", "workers", "models", "client", "tests", "docs", "examples", "scripts")
        names = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    return [path for path in names if path.is_file() and path.suffix not in {".png", ".npz"}]


def test_no_file_names_a_path_of_one_machine() -> None:
    # Put together from parts, so that this file is not found.
    anchored = "|".join(("/" + "work/", "/opt/" + "wheels", "/opt/" + "pypi", "/ro" + "ot/"))
    homes = "|".join(("/ho" + r"me/\w", "/Us" + r"ers/\w", r"C:\\+Us" + "ers"))
    pattern = re.compile(rf"(?<![\w.~}}])(?:{anchored}|{homes})")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_constraints_are_exact_and_name_no_place_and_no_build() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9a-z.]+", line), line
    assert pins()["torch"] == "2.13.0"
    assert not [name for name in pins() if re.match(r"nvidia|cuda|triton|cultivar", name)]


def requirements() -> list[Requirement]:
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    lines = [*server["dependencies"], *client["dependencies"]]
    for extra in server["optional-dependencies"].values():
        lines += extra
    return [Requirement(line) for line in lines]


def test_each_requirement_has_a_pin_within_its_bounds() -> None:
    pinned = {canonicalize_name(name): version for name, version in pins().items()}
    for requirement in requirements():
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_what_is_installed_is_what_is_pinned() -> None:
    for name, version in pins().items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # made for another platform
        assert installed.split("+")[0] == version, name


def test_the_ten_packages_asked_for_are_named() -> None:
    asked = "fastapi uvicorn pydantic torch transformers diffusers redis rq pytest httpx"
    assert set(asked.split()) <= {requirement.name for requirement in requirements()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_of_a_page_is_a_target(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert {"demo", "test", "check", "serve", "bench", "help"} <= targets
    code = re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), re.DOTALL)
    named = {name for text in code for name in re.findall(r"\bmake ([a-z-]+)", text)}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_and_file_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)", text):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link
    folders = "app|workers|models|client|tests|docs|examples|scripts|benchmarks"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_variable_of_a_page_is_a_setting(page: Path) -> None:
    known = {f"CULTIVAR_{name.upper()}" for name in Settings.model_fields}
    known |= {"CULTIVAR_URL", "CULTIVAR_API_KEY", "CULTIVAR_FAILPOINT"}
    assert set(re.findall(r"CULTIVAR_[A-Z_]+", page.read_text())) <= known


def test_the_page_of_settings_is_fresh() -> None:
    script = ROOT / "scripts" / "write_settings_page.py"
    subprocess.run([sys.executable, script, "--check"], check=True)


def test_the_readme_s_python_is_python_that_exists() -> None:
    import cultivar
    import cultivar.specs

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) > 1
    code = "\n".join(blocks)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = {"cultivar": cultivar, "cultivar.specs": cultivar.specs}[node.module or ""]
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_a_fresh_environment_is_not_installed_twice(tmp_path: Path) -> None:
    """`make venv` with a stamp that fits runs neither Python nor pip."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "client/pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" >> ran\n')
    python.chmod(0o755)

    def make() -> list[str]:
        (tmp_path / "ran").write_text("")
        subprocess.run(["make", "venv"], cwd=tmp_path, check=True, env={**os.environ})
        return (tmp_path / "ran").read_text().splitlines()

    assert any("pip install -c constraints.txt" in line for line in make())
    assert make() == []
    (tmp_path / "constraints.txt").write_text("# changed\n")
    assert any("pip install" in line for line in make())


def test_an_old_python_is_refused_with_a_sentence(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    result = subprocess.run(
        ["make", "venv", f"PYTHON={old}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "needs Python 3.11" in result.stdout
    assert "3.9.2" in result.stdout
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: a fresh one each would import torch anew, which is all that it would add."""
    path = str(ROOT / "benchmarks" / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [path, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(path, run_name="__main__")
    assert not ended.value.code
    told = capsys.readouterr().out
    assert f"python -m benchmarks.{name}" in told
    assert "--quick" in told
    assert "--seeds" in told


HEAVY = ("torch", "diffusers", "transformers", "sklearn", "matplotlib")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("app.main", (*HEAVY, "workers")),
        ("app.__main__", (*HEAVY, "workers")),
        ("workers.__main__", (*HEAVY, "fastapi")),
        ("cultivar", (*HEAVY, "app", "fastapi")),
    ],
)
def test_importing_a_front_end_loads_no_machine_learning(
    module: str, absent: tuple[str, ...]
) -> None:
    code = f"import sys, {module}; print(*[name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


def test_the_wheel_holds_everything_that_is_needed_at_run_time(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", tmp_path, _copy(tmp_path / "source")),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.relative_to(ROOT).parts[0] in {"app", "workers", "models"}
        and path.suffix != ".mako"  # the pattern of a new revision, made in a checkout
    }
    assert needed - held == set()


def _copy(target: Path) -> Path:
    for path in tracked():
        relative = path.relative_to(ROOT)
        if relative.parts[0] in {"app", "workers", "models"} or len(relative.parts) == 1:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            (target / relative).write_bytes(path.read_bytes())
    return target
