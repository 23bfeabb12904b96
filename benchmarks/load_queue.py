"""Submitting and claiming under load: a cheap client of many connections, and a queue made long."""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
from sqlalchemy import Connection, Table, insert, select

from app.domain.ids import new_id
from app.domain.jobs import NewJob
from app.store.database import Store
from app.store.tables import events, jobs, tasks
from benchmarks.load_stack import Front, Tenant

_ROWS_AT_ONCE = 5000


@dataclass
class Times:
    """Seconds that something took, each time.

    Attributes:
        wall: seconds of all of them, some at once.
        cpu: seconds of processor that the process which did them took for all.
    """

    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Times a second."""
        return len(self.seconds) / self.wall

    @property
    def mean_ms(self) -> float:
        return 1000 * statistics.fmean(self.seconds)

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu / len(self.seconds)

    def ms(self, share: float) -> float:
        """Return the time, in milliseconds, within which this share of them ended."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spec_of(tenant: Tenant) -> dict[str, Any]:
    return {"kind": "gelda", "dataset": tenant.dataset, "plan": {"per_class": 2}}


def submit(front: Front, tenant: Tenant, *, connections: int, seconds: float) -> Times:
    """Submit jobs over keep-alive connections, each the next as soon as one is answered."""
    api = psutil.Process(front.pid)
    times = Times()
    before = _cpu(api)
    asyncio.run(_submit(front, tenant, connections, seconds, times))
    times.cpu = _cpu(api) - before
    return times


def _cpu(process: psutil.Process) -> float:
    taken = process.cpu_times()
    return float(taken.user + taken.system)


async def _submit(
    front: Front, tenant: Tenant, connections: int, seconds: float, times: Times
) -> None:
    body = json.dumps({"spec": spec_of(tenant)}).encode()
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{front.port}\r\n"
        f"Authorization: Bearer {tenant.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    began = time.perf_counter()
    await asyncio.gather(
        *(_one(front.port, request, began + seconds, times) for _ in range(connections))
    )
    times.wall = time.perf_counter() - began


async def _one(port: int, request: bytes, until: float, times: Times) -> None:
    connection = await asyncio.open_connection("127.0.0.1", port)
    while (began := time.perf_counter()) < until:
        await _exchange(connection, request)
        times.seconds.append(time.perf_counter() - began)
    connection[1].close()


async def _exchange(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes
) -> None:
    """Send a request and read its answer; end the program unless it is 202."""
    reader, writer = connection
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    (length,) = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    body = await reader.readexactly(length)
    if b" 202 " not in lines[0]:
        raise SystemExit(f"A submit was answered {lines[0].decode()}: {body[:500]!r}")


def lengthen(store: Store, tenants: Sequence[Tenant], queued: int) -> None:
    """Queue so many jobs: copies of the rows of one that was made as all are, dealt out to tenants."""
    shapes = [_shape(store, tenant) for tenant in tenants]
    for start in range(0, queued, _ROWS_AT_ONCE):
        numbers = range(start, min(start + _ROWS_AT_ONCE, queued))
        with store.write() as tx:
            _copy(tx.connection, [shapes[number % len(shapes)] for number in numbers])


Shape = tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]


def _shape(store: Store, tenant: Tenant) -> Shape:
    """Return the rows of a new job: its own, its tasks' and its events'."""
    with store.write() as tx:
        job = tx.jobs.create(NewJob(tenant.id, "gelda", spec_of(tenant), seed=1))
        own = [dict(row) for row in tx.rows(select(jobs).where(jobs.c.id == job.id))]
        its_tasks = [dict(row) for row in tx.rows(select(tasks).where(tasks.c.job_id == job.id))]
        told = [dict(row) for row in tx.rows(select(events).where(events.c.job_id == job.id))]
    return own[0], its_tasks, told


def _copy(connection: Connection, shapes: Sequence[Shape]) -> None:
    rows: dict[Table, list[dict[str, Any]]] = {jobs: [], tasks: [], events: []}
    for own, its_tasks, told in shapes:
        job_id = new_id("job")
        rows[jobs].append(own | {"id": job_id})
        rows[tasks] += [task | {"id": new_id("task"), "job_id": job_id} for task in its_tasks]
        rows[events] += [event | {"job_id": job_id} for event in told]
    for table, some in rows.items():
        connection.execute(insert(table), some)


def claim(store: Store, times: int) -> Times:
    """Claim tasks one after the other, as a worker does, each in a transaction of its own."""
    taken, began, cpu = Times(), time.perf_counter(), time.process_time()
    for _ in range(times):
        before = time.perf_counter()
        with store.write() as tx:
            found = tx.tasks.claim(("cpu", "gpu"), "load", 3600.0)
        taken.seconds.append(time.perf_counter() - before)
        if found is None:
            raise SystemExit("There was nothing to claim.")
    taken.wall, taken.cpu = time.perf_counter() - began, time.process_time() - cpu
    return taken
