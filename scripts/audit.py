"""What the service is made of, and whether any of it has a known vulnerability: ``make audit``.

python scripts/audit.py [--sbom FOLDER]

Writes a CycloneDX bill of materials for each thing that is shipped (`api`, `worker`) and one for development,
of what is installed here by the pins of `constraints.txt`; refuses a licence that is not permissive unless
`docs/operations.md` names the package; then asks pip-audit for known vulnerabilities of every pin, which
needs PyPI. Exit status 0: nothing found. 1: something found. 2: the advisories could not be had.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PARTS: Mapping[str, tuple[str, ...]] = {
    "api": (),
    "worker": ("worker", "text"),
    "development": ("worker", "text", "dev"),
}
"""What bills are written of: the extras that each installs."""

_PERMISSIVE = r"\b(apache|mit|bsd|0bsd|isc|zlib|psf|python-2\.0|python software|hpnd|unlicense|cc0|boost|bsl-1\.0|cnri-python)"
_BY_HAND = {
    # Their metadata names no licence; what their repositories say.
    "antlr4-python3-runtime": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "transformers": "Apache-2.0",
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sbom", type=Path, default=ROOT / "var" / "sbom", metavar="FOLDER", help="(var/sbom)"
    )
    folder: Path = parser.parse_args(argv).sbom
    whole = bill_of_materials()
    folder.mkdir(parents=True, exist_ok=True)
    for part, extras in PARTS.items():
        bill = restricted(whole, closure("cultivar-server", extras))
        file = folder / f"{part}.cdx.json"
        file.write_text(json.dumps(bill, indent=1), encoding="utf-8")
        print(f"==> {file}: {len(bill['components'])} packages")
    said = (ROOT / "docs" / "operations.md").read_text("utf-8")
    shipped = restricted(whole, closure("cultivar-server", PARTS["worker"]))
    unnamed = unexpected_licences(shipped["components"], said)
    for line in unnamed:
        print(f"licence: {line}")
    status = vulnerabilities(ROOT / "constraints.txt")
    return max(status, int(bool(unnamed))) if status != 2 else 2


def bill_of_materials() -> dict[str, Any]:
    """Return CycloneDX's bill of everything that is installed beside this interpreter."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "all.json"
        _module(
            "cyclonedx_py",
            "environment",
            sys.executable,
            *("--pyproject", str(ROOT / "pyproject.toml")),
            *("--output-reproducible", "--of", "JSON", "-o", str(file)),
        ).check_returncode()
        whole: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return whole


def closure(distribution: str, extras: Iterable[str]) -> set[str]:
    """Return the canonical names of all that a distribution with these extras installs here.

    Raises:
        PackageNotFoundError: something of it is not installed.
    """
    found: set[tuple[str, frozenset[str]]] = set()
    ahead = [(canonicalize_name(distribution), frozenset(extras))]
    while ahead:
        one = ahead.pop()
        if one in found:
            continue
        found.add(one)
        name, wanted = one
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            contexts = [{"extra": extra} for extra in (*wanted, "")]
            if needed.marker is None or any(map(needed.marker.evaluate, contexts)):
                ahead.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return {name for name, _ in found} - {canonicalize_name(distribution)}


def restricted(bill: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return a bill of these packages alone, with what they depend on among themselves."""
    kept = [one for one in bill["components"] if canonicalize_name(one["name"]) in names]
    refs = {one["bom-ref"] for one in kept} | {bill["metadata"]["component"]["bom-ref"]}
    dependencies = [
        one | {"dependsOn": [ref for ref in one["dependsOn"] if ref in refs]}
        if "dependsOn" in one
        else one
        for one in bill.get("dependencies", ())
        if one["ref"] in refs
    ]
    return {**bill, "components": kept, "dependencies": dependencies}


def unexpected_licences(components: Iterable[Mapping[str, Any]], named: str) -> list[str]:
    """Return a line for each package whose licence is not permissive and which the text does not name."""
    lines = []
    for one in components:
        told = [
            licence.get("expression")
            or licence["license"].get("id")
            or licence["license"].get("name", "")
            for licence in one.get("licenses", ())
        ] or [_BY_HAND.get(one["name"], "")]
        permissive = all(
            re.search(_PERMISSIVE, part, re.IGNORECASE)
            for text in told
            for part in re.split(r"\bAND\b", text)
        )
        if not permissive and f"`{one['name']}`" not in named:
            lines.append(
                f"{one['name']} {one['version']} is under {', '.join(told) or 'none told'}"
            )
    return lines


def vulnerabilities(pins: Path) -> int:
    """Ask pip-audit about every pin, print what it says; 0, 1 or 2 as this program exits."""
    print(f"==> pip-audit of {pins.name}", flush=True)
    asked = ("--requirement", str(pins), "--no-deps", "--disable-pip", "--format", "json")
    ran = _module("pip_audit", *asked, "--progress-spinner", "off")
    try:
        packages = json.loads(ran.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        print(f"pip-audit gave no answer:\n{ran.stderr.strip()[-2000:]}", file=sys.stderr)
        return 2
    return judged(packages)


def judged(packages: Iterable[Mapping[str, Any]]) -> int:
    """Print what pip-audit found of each package; return 0, 1 or 2 as this program exits."""
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    found = [(one, advisory) for one in packages for advisory in one.get("vulns", ())]
    for one, advisory in found:
        mended = ", ".join(advisory["fix_versions"]) or "no version yet"
        print(f"{one['name']} {one['version']}: {advisory['id']}, mended in {mended}")
    if skipped:
        print(
            f"Nothing could be learned of {len(skipped)} packages ({', '.join(skipped[:5])}, …): "
            "is PyPI within reach?",
            file=sys.stderr,
        )
        return 2
    print("no known vulnerability" if not found else f"{len(found)} known vulnerabilities")
    return int(bool(found))


def _module(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", name, *arguments], capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
