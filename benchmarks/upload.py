"""Send a large file to the service: megabytes a second, and the API's memory all the while.

    python -m benchmarks.upload [--quick] [--data FILE…] [--seeds N] [--folder FOLDER]

2 GB, made up as they are sent (or the files given, whatever they hold), go in parts through the
plain HTTP routes to a service started for it, `python -m app serve`, at home in a new folder that is
gone afterwards. The resident memory of the process that answers is read every 10 ms. The time is
that from the first part to the end of `complete`, after which the bytes are durable under their
hash; the hash in the service's answer must be the one counted here. Beside it stands a plain write
of the same bytes to the same disk, with fsync: the quicker of one before and one after.
Cost: under a minute, and twice the file's size on the disk of FOLDER (the system's temporary one).
Expect: less than 200 MB of memory for a file of any size.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import httpx
import psutil

from benchmarks.face import Face

MB = 1_000_000
LIMIT_MB = 200
CHUNK = 1 << 20
LOOK_SECONDS = 0.01
START_SECONDS, STOP_SECONDS = 90, 60
COMPLETE_SECONDS = 3600
ROOM = 2.2
"""Bytes of disk for one of the file: its parts and the whole exist at once."""


@dataclass(frozen=True)
class MadeUp:
    """Bytes that are nowhere stored: noise of one chunk, repeated, each time with its number."""

    name: str
    size: int
    seed: int

    @cached_property
    def _noise(self) -> bytes:
        return hashlib.shake_256(self.seed.to_bytes(8)).digest(CHUNK)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes from `start` on, in pieces of a chunk or less."""
        end = start + length
        while start < end:
            number, skipped = divmod(start, CHUNK)
            piece = (number.to_bytes(8) + self._noise[8:])[skipped : skipped + end - start]
            yield piece
            start += len(piece)


@dataclass(frozen=True)
class OnDisk:
    """A file's bytes."""

    name: str
    size: int
    path: Path

    def read(self, start: int, length: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            while length and (piece := file.read(min(CHUNK, length))):
                length -= len(piece)
                yield piece


Source = MadeUp | OnDisk


class Memory(threading.Thread):
    """Reads a process's resident memory until told to stop; keeps the highest, in bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.first = self.peak = self._process.memory_info().rss

    def run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


@dataclass
class Hashes:
    """What the service must find: of the whole, and of each part in order."""

    whole: str
    parts: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, source: Source, part_bytes: int) -> "Hashes":
        whole, parts = hashlib.sha256(), []
        for start in range(0, source.size, part_bytes):
            part = hashlib.sha256()
            for piece in source.read(start, min(part_bytes, source.size - start)):
                part.update(piece)
                whole.update(piece)
            parts.append(part.digest())
        return cls(whole.hexdigest(), parts)


@contextmanager
def service(
    home: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[httpx.Client, int]]:
    """Run a service of its own; yield a client of it, and the process that answers."""
    ready_file, log = home / "ready.json", home / "log"
    command = [sys.executable, "-P", "-m", "app", "serve", "--home", str(home / "home")]
    command += ["--port", "0", "--ready-file", str(ready_file)]
    # Settings of the service that runs here for real must not reach this one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CULTIVAR_")}
    environment |= settings
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        end = time.monotonic() + START_SECONDS
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"The service did not start.\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        ready = json.loads(ready_file.read_text())
        with httpx.Client(
            base_url=ready["url"],
            headers={"Authorization": f"Bearer {Path(ready['key_file']).read_text().strip()}"},
            timeout=60,
            trust_env=False,  # the loopback is behind no proxy
        ) as client:
            yield client, ready["pid"]
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def send(client: httpx.Client, source: Source, face: Face) -> dict[str, float]:
    """Upload the bytes and return the seconds of its two halves: sending parts, completing."""
    # Nothing ever decodes it, so one name does for every file; no hash is promised, so that the one
    # in the answer is the service's own.
    fields = {"filename": "upload.npz", "bytes": source.size}
    begun = client.post("/v1/uploads", json=fields).raise_for_status().json()
    address, part_bytes = f"/v1/uploads/{begun['id']}", begun["part_bytes"]
    hashes = Hashes.of(source, part_bytes)
    face.begin(f"{source.name}: send {len(hashes.parts)} parts")
    began = time.monotonic()
    for number, digest in enumerate(hashes.parts, 1):
        start = (number - 1) * part_bytes
        length = min(part_bytes, source.size - start)
        headers = {
            "Content-Length": str(length),
            "Content-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
        }
        body = source.read(start, length)
        client.put(f"{address}/parts/{number}", content=body, headers=headers).raise_for_status()
        face.progress(start + length, source.size)
    sent = time.monotonic()
    face.begin(f"{source.name}: complete")
    done = client.post(f"{address}/complete", timeout=COMPLETE_SECONDS).raise_for_status().json()
    completed = time.monotonic()
    face.end()
    if done["sha256"] != hashes.whole:
        raise SystemExit(f"The service has {done['sha256']}, {hashes.whole} was sent.")
    return {"send_s": sent - began, "complete_s": completed - sent}


def write(source: Source, folder: Path, face: Face) -> float:
    """Write the bytes to a plain file with fsync; return the seconds."""
    path = folder / "plain"
    face.begin(f"{source.name}: plain write and fsync")
    try:
        with path.open("wb", buffering=0) as file:
            for piece in source.read(0, source.size):
                file.write(piece)
            os.fsync(file.fileno())
        return face.end()
    finally:
        path.unlink()


def measure(source: Source, parent: Path | None, face: Face) -> dict[str, Any]:
    """Upload once, to a service of its own; return the figures of one row."""
    with tempfile.TemporaryDirectory(prefix="cultivar-upload-", dir=parent) as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free
        if free < ROOM * source.size:
            raise SystemExit(f"{free / MB:,.0f} MB are free in {folder.parent}; see --folder")
        plain = write(source, folder, face)
        with service(folder) as (client, pid), Memory(pid) as memory:
            seconds = send(client, source, face)
        plain = min(plain, write(source, folder, face))
    total = seconds["send_s"] + seconds["complete_s"]
    return {
        "data": source.name,
        "mb": source.size / MB,
        **seconds,
        "mb_per_s": source.size / MB / total,
        "disk_mb_per_s": source.size / MB / plain,
        "of_disk": plain / total,
        "idle_mb": memory.first / MB,
        "peak_mb": memory.peak / MB,
    }


def sources(given: Namespace) -> list[Source]:
    files: list[Source] = [OnDisk(path.name, path.stat().st_size, path) for path in given.data]
    size = (128 if given.quick else 2000) * MB
    made = (MadeUp(f"made up, seed {seed}", size, seed) for seed in range(given.seeds))
    return [source for _ in range(given.seeds) for source in files] or list(made)


def main() -> None:
    face = Face(__doc__)
    face.parser.add_argument("--folder", type=Path, help="where the service's disk is measured")
    given = face.parse()
    rows = [measure(source, given.folder, face) for source in sources(given)]
    peak = max(row["peak_mb"] for row in rows)
    face.table(list(rows[0]), [list(row.values()) for row in rows])
    face.finish(
        {
            "peak_mb": peak,
            "limit_mb": LIMIT_MB,
            "reached": peak < LIMIT_MB,
            "mb_per_s": min(row["mb_per_s"] for row in rows),
            "of_disk": min(row["of_disk"] for row in rows),
            "quick": given.quick,
            "rows": rows,
        }
    )


if __name__ == "__main__":
    main()
