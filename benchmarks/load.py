"""Put load on a service: jobs submitted a second, claims from a long queue, large uploads at once.

    python -m benchmarks.load [--quick] [--databases sqlite postgresql] [--postgresql URL]
                              [--queued N] [--seconds N] [--connections N]
                              [--gigabytes N] [--uploads N] [--folder FOLDER]

For each database a real API process, `python -m app api`, is started beside a real Redis, in a new
folder that is gone afterwards; no worker runs. Everything shares the machine's cores, the load
included: one process with some keep-alive connections, each of which submits the next job as soon as
one is answered. Jobs are submitted to an empty queue, then the queue is made long (its rows are copies of
those of a job made as all are, dealt out to ten tenants), tasks are claimed from it one by one, and jobs
are submitted to it again. Last, on SQLite, files go up at once, each over a connection of its own, while
the resident memory of the process that answers is read every 10 ms; beside it stand plain writes of the same bytes
to as many files of the same disk at once, with fsync.
Cost: some ten minutes, and 2.2 times the files' size on the disk of FOLDER (8 files of 2 GB: 36 GB).
Expect: on SQLite at least 200 submits a second, p99 within 500 ms; on both claims within 50 ms at p99 with
100,000 queued, and submits there within 1.5 times what they take on an empty queue; less than 256 MB of
memory. The exit status is 1 where one of these is missed.
"""

import sys
import tempfile
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import load_uploads
from benchmarks.face import Face
from benchmarks.load_queue import Times, claim, lengthen, submit
from benchmarks.load_stack import database, front, make_tenant

GB = 1_000_000_000
DATABASES = ("sqlite", "postgresql")
TENANTS = 10
CLAIMS = 500
LEAST_SUBMITS, MOST_SUBMIT_MS = 200.0, 500.0
MOST_CLAIM_MS = 50.0
MOST_SLOWDOWN = 1.5
MOST_MEMORY_MB = 256.0


@dataclass(frozen=True)
class Limit:
    """A figure and what it must keep to, if anything."""

    database: str
    what: str
    found: float
    least: float | None = None
    most: float | None = None

    @property
    def kept(self) -> bool:
        return (self.least is None or self.found >= self.least) and (
            self.most is None or self.found <= self.most
        )

    def row(self) -> list[object]:
        if self.least is None and self.most is None:
            return [self.database, self.what, self.found, "", ""]
        goal = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        return [self.database, self.what, self.found, goal, "kept" if self.kept else "MISSED"]


def queue(kind: str, given: Namespace, folder: Path, face: Face) -> list[Limit]:
    """Submit and claim on one database."""
    folder.mkdir()
    with database(kind, folder, given.postgresql) as url, front(folder, url) as service:
        tenants = [make_tenant(service.store, f"tenant {number}") for number in range(TENANTS)]
        load = {"connections": given.connections, "seconds": given.seconds}
        face.begin(f"{kind}: submit to an empty queue")
        empty = submit(service, tenants[0], **load)
        face.begin(f"{kind}: queue {given.queued:,} jobs")
        lengthen(service.store, tenants, given.queued)
        face.begin(f"{kind}: claim")
        claims = claim(service.store, min(CLAIMS, given.queued))
        face.begin(f"{kind}: submit to the long queue")
        deep = submit(service, tenants[0], **load)
        face.end()
    return limits(kind, given.queued, empty, claims, deep)


def limits(kind: str, queued: int, empty: Times, claims: Times, deep: Times) -> list[Limit]:
    sqlite = kind == "sqlite"  # PostgreSQL's figure is published, and held against none
    return [
        Limit(kind, "submits a second", empty.rate, least=LEAST_SUBMITS if sqlite else None),
        Limit(kind, "submit p50, ms", empty.ms(0.5)),
        Limit(kind, "submit p99, ms", empty.ms(0.99), most=MOST_SUBMIT_MS),
        Limit(kind, "the API's processor time a submit, ms", empty.cpu_ms),
        Limit(kind, f"claim p50 at {queued:,}, ms", claims.ms(0.5)),
        Limit(kind, f"claim p99 at {queued:,}, ms", claims.ms(0.99), most=MOST_CLAIM_MS),
        Limit(kind, f"processor time a claim at {queued:,}, ms", claims.cpu_ms),
        Limit(
            kind,
            f"submit at {queued:,}, times that of an empty queue",
            deep.mean_ms / empty.mean_ms,
            most=MOST_SLOWDOWN,
        ),
    ]


def uploads(given: Namespace, folder: Path, face: Face) -> dict[str, Any]:
    """Send files at once to an API on SQLite."""
    folder.mkdir()
    size = int(given.gigabytes * GB)
    load_uploads.check_room(folder, given.uploads, size)
    face.begin(f"{given.uploads} uploads of {given.gigabytes:g} GB at once")
    with database("sqlite", folder, None) as url, front(folder, url) as service:
        tenant = make_tenant(service.store, "tenant")
        found = load_uploads.measure(service, tenant, folder, given.uploads, size)
    face.end()
    return found


def parse(face: Face) -> Namespace:
    add = face.parser.add_argument
    add("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    add("--postgresql", metavar="URL", help="an empty PostgreSQL; by default one is started")
    add("--queued", type=int, metavar="N", help="jobs in the long queue (default: 100,000)")
    add("--seconds", type=float, metavar="N", help="of submitting, each time (default: 20)")
    add("--connections", type=int, default=8, metavar="N", help="that submit (default: 8)")
    add("--gigabytes", type=float, metavar="N", help="of each file (default: 2); 0: no uploads")
    add("--uploads", type=int, default=8, metavar="N", help="files at once (default: 8)")
    add("--folder", type=Path, help="whose disk is measured (default: the temporary one)")
    given = face.parse()
    small = {"queued": 2_000, "seconds": 2.0, "gigabytes": 0.05}
    whole = {"queued": 100_000, "seconds": 20.0, "gigabytes": 2.0}
    for name, value in (small if given.quick else whole).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def main() -> int:
    face = Face(__doc__)
    given = parse(face)
    found: list[Limit] = []
    sent: dict[str, Any] | None = None
    with tempfile.TemporaryDirectory(prefix="cv-", dir=given.folder) as name:
        folder = Path(name)
        for kind in given.databases:
            found += queue(kind, given, folder / kind, face)
        if given.gigabytes:
            sent = uploads(given, folder / "uploads", face)
            found.append(Limit("sqlite", "API's memory, MB", sent["peak_mb"], most=MOST_MEMORY_MB))
    face.table(["database", "figure", "found", "goal", ""], [one.row() for one in found])
    if sent is not None:
        print()
        face.table(list(sent), [list(sent.values())])
    kept = all(one.kept for one in found)
    rows = [{"database": one.database, "figure": one.what, "found": one.found} for one in found]
    face.finish(
        {"reached": kept, "quick": given.quick, "connections": given.connections, "rows": rows}
        | {"uploads": sent}
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
