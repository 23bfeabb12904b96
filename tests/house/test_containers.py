"""Dockerfile and compose file: linted, and every name in them exists. No Docker is needed."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
SETTINGS = {f"CULTIVAR_{name.upper()}" for name in Settings.model_fields}


def stages() -> dict[str, list[str]]:
    """Return the Dockerfile's instructions by stage, continuation lines joined."""
    found: dict[str, list[str]] = {}
    lines = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, lines.splitlines())):
        if match := re.match(r"FROM (\S+) AS (\S+)", line):
            found[match[2]] = [*found.get(match[1], [])]
        found[list(found)[-1]].append(line)
    return found


def exec_forms(lines: list[str]) -> list[list[str]]:
    return [
        yaml.safe_load(match[1])
        for line in lines
        if (match := re.search(r"CMD\s+(\[.*\])", line)) is not None
    ]


def commands() -> list[list[str]]:
    """Return every command of ours that either file names."""
    named = [SERVICES[name]["command"] for name in OURS]
    named += [SERVICES[name]["healthcheck"]["test"][1:] for name in OURS]
    named += [form for stage in ("api", "worker") for form in exec_forms(stages()[stage])]
    return list({tuple(command): command for command in named}.values())


def test_the_dockerfile_passes_its_linter() -> None:
    result = subprocess.run(
        [BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_the_compose_file_fits_its_specification() -> None:
    command = [
        *(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"),
        ROOT / "docker-compose.yml",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_each_service_has_a_health_check_and_the_parts_are_there() -> None:
    assert {"api", "gpu-worker", "cpu-worker", "redis", "postgres"} < set(SERVICES)
    assert len(SERVICES) == 6  # and the S3 store
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"], name


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_each_command_runs_a_module_that_exists(command: list[str]) -> None:
    python, flag, module, *arguments = command
    assert (python, flag) == ("python", "-m")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations:
        assert importlib.util.find_spec(f"{module}.__main__") is not None
    help_text = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(argument in help_text for argument in arguments)


def test_each_variable_is_a_setting() -> None:
    used = set(re.findall(r"CULTIVAR_[A-Z_]+", DOCKERFILE + COMPOSE_TEXT))
    assert used
    assert used <= SETTINGS


def test_each_substitution_is_explained_in_the_example() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_0-9]+)", COMPOSE_TEXT))
    explained = re.findall(
        r"^(?:# )?([A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE
    )
    assert used == set(explained)
    assert not used & SETTINGS, "a variable of the host must not look like a setting"


def test_each_build_names_a_stage() -> None:
    for name in OURS:
        build = SERVICES[name]["build"]
        assert build["target"] in stages()
        assert (ROOT / build["context"] / "Dockerfile").exists()


def test_each_file_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    kept = re.findall(r"^!(\S+?)/?$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = [line for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)]
    sources = [source for line in copies for source in line.split()[1:-1]]
    assert {"app", "models", "workers", "pyproject.toml"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source in kept, source


def test_ports_agree() -> None:
    port = Settings.model_fields["port"].default
    assert f"EXPOSE {port}" in stages()["api"]
    assert f"CULTIVAR_PORT={port}" in DOCKERFILE
    assert SERVICES["api"]["environment"]["CULTIVAR_PORT"] == str(port)
    assert SERVICES["api"]["ports"][0].endswith(f":{port}")
    environment = SERVICES["api"]["environment"]
    assert "@postgres:5432/" in environment["CULTIVAR_DATABASE_URL"]
    assert environment["CULTIVAR_REDIS_URL"].startswith("redis://redis:6379")
    gateway = SERVICES["objects"]["environment"]["VGW_PORT"]
    assert environment["AWS_ENDPOINT_URL"] == f"http://objects{gateway}"
    bucket = environment["CULTIVAR_BLOB_URL"].removeprefix("s3://")
    assert f"mkdir -p /data/{bucket} " in SERVICES["objects"]["entrypoint"][-1]


def test_the_images_run_as_a_user_of_their_own() -> None:
    for stage in ("api", "worker"):
        users = [line.split()[1] for line in stages()[stage] if line.startswith("USER")]
        assert users[-1:] == ["10001:10001"]
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        mounted = {volume.split(":")[1] for volume in service["volumes"]} | set(service["tmpfs"])
        assert {"/tmp", "/var/lib/cultivar"} <= mounted


def test_the_api_image_installs_no_extra() -> None:
    installs = [line for line in stages()["built-api"] if "pip install" in line]
    assert len(installs) == 1
    assert installs[0].endswith("-c constraints.txt .")
    assert any("COPY --from=built-api" in line for line in stages()["api"])
    assert any("COPY --from=built-worker" in line for line in stages()["worker"])


def test_the_gpu_worker_reserves_a_device_and_each_class_is_served() -> None:
    (device,) = SERVICES["gpu-worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert SERVICES["gpu-worker"]["environment"]["CULTIVAR_WORKER_CLASSES"] == "gpu"
    assert ":-cpu}" in SERVICES["cpu-worker"]["environment"]["CULTIVAR_WORKER_CLASSES"]


def test_workers_are_given_time_to_drain() -> None:
    drain = Settings.model_fields["drain_seconds"].default
    for name in ("gpu-worker", "cpu-worker"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= drain + 5


def test_each_volume_is_declared() -> None:
    named = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert named == set(COMPOSE["volumes"])
