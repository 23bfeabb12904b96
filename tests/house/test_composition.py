"""The compose file's processes, started by its own commands and environment, without Docker.

PostgreSQL, Redis and the S3 store are real servers at other addresses; everything else is as there.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import yaml
from moto.server import ThreadedMotoServer

from cultivar import Client

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]


@pytest.fixture
def objects() -> Iterator[str]:
    """An S3 endpoint with the bucket that the compose file's store makes."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "cultivar", "aws_secret_access_key": "secret"}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(
        Bucket="cultivar"
    )
    yield url
    server.stop()


@pytest.fixture
def addresses(objects: str, postgresql_url: str, redis_url: str) -> dict[str, str]:
    """The servers' variables, as they stand in the compose file but for where they are."""
    return {
        "CULTIVAR_DATABASE_URL": postgresql_url,
        "CULTIVAR_REDIS_URL": redis_url,
        "AWS_ENDPOINT_URL": objects,
    }


def environment(service: str, home: Path, moved: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "CULTIVAR" not in name}
    given = {
        name: re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}", r"\1", value)
        for name, value in SERVICES[service]["environment"].items()
    }
    assert set(moved) <= set(given)
    given["AWS_SECRET_ACCESS_KEY"] = "secret"
    return {**inherited, "CULTIVAR_HOME": str(home), **given, **moved}


def command(words: list[str]) -> list[str]:
    assert words[0] == "python"
    return [sys.executable, *words[1:]]


def healthy(service: str, env: dict[str, str], seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check = command(SERVICES[service]["healthcheck"]["test"][1:])
        if subprocess.run(check, env=env, check=False).returncode == 0:
            return True
        time.sleep(0.5)
    return False


def test_api_and_workers_share_records_and_blobs_on_other_machines(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    # Each service has a home of its own: what they share is SQL, Redis and the S3 store.
    environments = {
        name: environment(name, tmp_path / name, addresses) for name in ("api", "cpu-worker")
    }
    environments["api"] |= {"CULTIVAR_PORT": port, "CULTIVAR_HOST": "127.0.0.1"}
    processes = []
    try:
        for name, env in environments.items():
            processes.append(subprocess.Popen(command(SERVICES[name]["command"]), env=env))
            assert healthy(name, env), name
        key = new_key(environments["api"])
        rng = np.random.default_rng(0)
        np.savez(tmp_path / "d.npz", x=rng.normal(size=(60, 8)), y=np.repeat([0, 1, 2], 20))
        with Client(f"http://127.0.0.1:{port}", key) as client:
            dataset = client.datasets.upload(tmp_path / "d.npz")
            dataset.wait(150, progress=False)
            assert dataset.stats is not None
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(60) for process in processes]
    assert codes == [-signal.SIGTERM, 0]  # uvicorn passes its signal on when all is in order
    assert not list((tmp_path / "api").rglob("cultivar.db"))


def new_key(env: dict[str, str]) -> str:
    """Make a tenant and a key by the commands that the compose file's head and the README name."""
    admin = [sys.executable, "-m", "app", "admin"]
    subprocess.run([*admin, "tenants", "create", "my-team"], env=env, check=True)
    made = subprocess.run(
        [*admin, "keys", "create", "my-team"], env=env, check=True, capture_output=True, text=True
    )
    return made.stdout.split("key ")[1].split()[0]
