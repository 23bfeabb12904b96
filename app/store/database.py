"""The store: an engine, its transactions, and the repositories each transaction carries."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from app.domain.problems import OutOfSpace, Problem, Unavailable
from app.store.artifacts import Artifacts
from app.store.clock import HostClock
from app.store.datasets import Datasets
from app.store.deletion import Deletions
from app.store.events import Events
from app.store.failpoints import failpoint
from app.store.generators import Classifiers, Generators
from app.store.idempotency import Idempotency
from app.store.jobs import Jobs
from app.store.keys import Keys
from app.store.migrate import lift_limits, migrate
from app.store.register import Register
from app.store.reviews import Reviews
from app.store.roles import Roles
from app.store.tasks import Tasks
from app.store.tenants import Tenants
from app.store.uploads import Uploads
from app.store.work import Clock, Work
from app.store.workers import Workers

BUSY_SECONDS = 5.0
"""How long a transaction waits for another one's lock before it answers Unavailable."""

_CONNECTIONS, _MORE_CONNECTIONS = 8, 24
_RETRY = {"Retry-After": "1"}


class Transaction(Work):
    """One transaction and the repositories that work in it."""

    def __init__(self, connection: Connection, clock: Clock, *, writable: bool) -> None:
        super().__init__(connection, clock, writable=writable)
        self.tenants = Tenants(self)
        self.keys = Keys(self)
        self.uploads = Uploads(self)
        self.datasets = Datasets(self)
        self.deletions = Deletions(self)
        self.jobs = Jobs(self)
        self.tasks = Tasks(self)
        self.events = Events(self)
        self.artifacts = Artifacts(self)
        self.reviews = Reviews(self)
        self.generators = Generators(self)
        self.classifiers = Classifiers(self)
        self.idempotency = Idempotency(self)
        self.blobs = Register(self)
        self.roles = Roles(self)
        self.workers = Workers(self)


class Store:
    """All records, in SQLite or PostgreSQL.

    Args:
        url: ``sqlite:///path`` or ``postgresql+psycopg://…``.
        clock: decides leases on SQLite; PostgreSQL has a clock of its own.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self._url = make_url(url)
        self._clock = clock or HostClock()
        self._engine = _engine(self._url)
        # SQLite has one writer. Threads that queue here do so in order and wake at once; SQLite's own
        # waiting is by sleeping and trying again.
        self._one_writer = threading.Lock() if self._url.get_backend_name() == "sqlite" else None

    def migrate(self) -> None:
        """Bring the schema to this version; any number of processes may do so at once.

        Raises:
            Unavailable: the database is locked, or cannot be reached.
            OutOfSpace: its disk is full.
        """
        if self._one_writer and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with _problems():
            migrate(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def ping(self) -> None:
        """Raise Unavailable unless the database answers."""
        with self.read() as tx:
            tx.run(text("SELECT 1"))

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a writing transaction: committed at the end, rolled back by an exception.

        Raises:
            Unavailable: the database is locked, or cannot be reached; nothing was written, except that a
                connection lost in the very commit leaves it open whether it was.
            OutOfSpace: the database's disk is full; nothing was written.
        """
        with self._alone(), _problems(), self._engine.connect() as connection:
            connection.execution_options(cultivar_write=True)
            with connection.begin():
                yield Transaction(connection, self._clock, writable=True)
                failpoint("store.before_commit")
            failpoint("store.after_commit")

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Open a reading transaction."""
        with _problems(), self._engine.connect() as connection, connection.begin():
            tx = Transaction(connection, self._clock, writable=False)
            yield tx
        if tx.afterwards:
            # Such a write is a courtesy (when a key was last used): it never fails the read.
            with suppress(Unavailable, OutOfSpace), self.write() as later:
                for act in tx.afterwards:
                    act(later)

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """Open a reading transaction all of whose statements see the same moment.

        Writers go on meanwhile. A backup may read for long, so the limits of ordinary work do not hold.
        """
        with _problems(), self._engine.connect() as connection:
            if self._one_writer is None:
                connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin():
                lift_limits(connection)
                yield Transaction(connection, self._clock, writable=False)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._one_writer is None:
            yield
            return
        if not self._one_writer.acquire(timeout=BUSY_SECONDS):
            raise Unavailable("The database is busy.", headers=_RETRY)
        try:
            yield
        finally:
            self._one_writer.release()


def _engine(url: URL) -> Engine:
    sizes = {"pool_size": _CONNECTIONS, "max_overflow": _MORE_CONNECTIONS, "pool_timeout": 10}
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ValueError("an SQLite store is a file: several processes share it")
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **sizes)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        url,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            # A process that is stopped in the middle of a transaction must not hold its locks for long.
            "options": f"-c lock_timeout={int(BUSY_SECONDS * 1000)} -c statement_timeout=30000"
            " -c idle_in_transaction_session_timeout=15000",
        },
        **sizes,
    )


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail in the middle; so writers say so at once.
    write = connection.get_execution_options().get("cultivar_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("The database has no free connection.", headers=_RETRY) from error
    except DBAPIError as error:
        problem = _problem(error)
        if problem is None:
            raise
        raise problem from error


_SQLITE_BUSY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}


def _problem(error: DBAPIError) -> Problem | None:
    """Return what a database's refusal means to a caller; None where it is a bug of ours."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # without the extended part
        if code == sqlite3.SQLITE_FULL:
            return OutOfSpace("The database's disk is full.")
        return (
            Unavailable("The database is busy.", headers=_RETRY) if code in _SQLITE_BUSY else None
        )
    if isinstance(cause, psycopg.errors.DiskFull):
        return OutOfSpace("The database's disk is full.")
    if isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError)):
        return Unavailable("The database does not answer.", headers=_RETRY)
    return None
