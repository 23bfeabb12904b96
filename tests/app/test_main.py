"""What importing and running the API takes."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.domain.records import ALL_SCOPES
from app.store.database import Store

MiB = 1 << 20
HEAVY = ("torch", "transformers", "diffusers", "sklearn", "workers")


def test_importing_the_api_loads_no_machine_learning() -> None:
    code = f"import sys, app.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[psutil.Process, httpx.Client]]:
    """A real uvicorn of the factory alone, on a socket; with it a client that has a key."""
    url = f"sqlite:///{tmp_path / 'cultivar.db'}"
    store = Store(url)
    store.migrate()
    with store.write() as tx:
        _, secret = tx.keys.create(tx.tenants.create("one").id, "test", ALL_SCOPES)
    store.close()
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        socket = f"{folder}/api.sock"
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory", "--uds", socket],
            env=os.environ | {"CULTIVAR_HOME": str(tmp_path)},
        )
        transport = httpx.HTTPTransport(uds=socket)
        headers = {"Authorization": f"Bearer {secret}"}
        with httpx.Client(
            transport=transport, base_url="http://localhost", headers=headers, timeout=60
        ) as client:
            try:
                _await(client)
                yield psutil.Process(process.pid), client
            finally:
                process.terminate()
                assert process.wait(timeout=60) is not None


def _await(client: httpx.Client) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            client.get("/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("uvicorn did not start")


def test_an_upload_passes_through_in_constant_memory(
    server: tuple[psutil.Process, httpx.Client],
) -> None:
    process, client = server
    size = 256 * MiB
    begun = client.post("/v1/uploads", json={"filename": "big.npz", "bytes": size}).json()
    part_bytes = begun["part_bytes"]

    def chunks() -> Iterator[bytes]:
        block = bytes(MiB)
        for _ in range(part_bytes // MiB):
            yield block

    before = process.memory_info().rss
    for number in range(1, size // part_bytes + 1):
        path = f"/v1/uploads/{begun['id']}/parts/{number}"
        client.put(path, content=chunks()).raise_for_status()
    client.post(f"/v1/uploads/{begun['id']}/complete").raise_for_status()
    after = process.memory_info().rss
    assert after < 200 * MiB
    assert after - before < 40 * MiB


def test_a_client_that_goes_away_leaves_no_part(
    server: tuple[psutil.Process, httpx.Client], tmp_path: Path
) -> None:
    _, client = server
    begun = client.post("/v1/uploads", json={"filename": "a.npz", "bytes": MiB}).json()

    def broken() -> Iterator[bytes]:
        yield bytes(1000)
        raise RuntimeError("the network is gone")

    with pytest.raises(RuntimeError):
        client.put(
            f"/v1/uploads/{begun['id']}/parts/1",
            content=broken(),
            headers={"Content-Length": str(MiB)},
        )
    assert client.get(f"/v1/uploads/{begun['id']}").json()["parts"] == []
    until = time.monotonic() + 60
    while files := [path for path in tmp_path.rglob("*.partial") if path.is_file()]:
        assert time.monotonic() < until, files
        time.sleep(0.05)
