"""Large uploads at once: megabytes a second, the API's memory, and the disk's own speed beside them."""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.load_stack import Front, Tenant
from benchmarks.upload import COMPLETE_SECONDS, MB, ROOM, Hashes, MadeUp, Memory

PART_SECONDS = 600.0


def check_room(folder: Path, uploads: int, size: int) -> None:
    """End the program where the disk has no room for the files' parts and the files at once."""
    free, wanted = shutil.disk_usage(folder).free, ROOM * uploads * size
    if free < wanted:
        raise SystemExit(
            f"{free / MB:,.0f} MB are free in {folder}, {wanted / MB:,.0f} MB are needed;"
            " see --folder and --gigabytes"
        )


def measure(front: Front, tenant: Tenant, folder: Path, uploads: int, size: int) -> dict[str, Any]:
    """Send files at once, and write the same bytes to plain files at once; return the figures."""
    sources = [MadeUp(f"file {number}", size, seed=number) for number in range(uploads)]
    with front.client(tenant, timeout=60) as client:
        part_bytes = client.post("/v1/uploads", json=_fields(sources[0])).json()["part_bytes"]
    hashes = [Hashes.of(source, part_bytes).whole for source in sources]  # outside the time
    plain = _at_once(uploads, lambda number: _write(sources[number], folder / f"plain-{number}"))
    with Memory(front.pid) as memory:
        took = _at_once(
            uploads, lambda number: _send(front, tenant, sources[number], hashes[number])
        )
    total = uploads * size / MB
    return {
        "uploads": uploads,
        "mb_each": size / MB,
        "seconds": took,
        "mb_per_s": total / took,
        "disk_mb_per_s": total / plain,
        "of_disk": plain / took,
        "idle_mb": memory.first / MB,
        "peak_mb": memory.peak / MB,
    }


def _at_once(number: int, act: Callable[[int], None]) -> float:
    """Return the seconds until all of them have ended."""
    began = time.monotonic()
    with ThreadPoolExecutor(number) as pool:
        for _ in pool.map(act, range(number)):
            pass
    return time.monotonic() - began


def _fields(source: MadeUp) -> dict[str, Any]:
    return {"filename": "load.npz", "bytes": source.size}


def _send(front: Front, tenant: Tenant, source: MadeUp, sha256: str) -> None:
    with front.client(tenant, timeout=PART_SECONDS) as client:
        begun = client.post("/v1/uploads", json=_fields(source)).raise_for_status().json()
        address, part_bytes = f"/v1/uploads/{begun['id']}", begun["part_bytes"]
        for number, start in enumerate(range(0, source.size, part_bytes), 1):
            length = min(part_bytes, source.size - start)
            client.put(
                f"{address}/parts/{number}",
                content=source.read(start, length),
                headers={"Content-Length": str(length)},
            ).raise_for_status()
        done = client.post(f"{address}/complete", timeout=COMPLETE_SECONDS).raise_for_status()
    if done.json()["sha256"] != sha256:
        raise SystemExit(f"The service has {done.json()['sha256']}, {sha256} was sent.")


def _write(source: MadeUp, path: Path) -> None:
    """Write the bytes to a plain file, with fsync, and remove it."""
    try:
        with path.open("wb", buffering=0) as file:
            for piece in source.read(0, source.size):
                file.write(piece)
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)
