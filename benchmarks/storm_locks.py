"""What keeps others from the database: its write lock held, their connections cut."""

import contextlib
import sqlite3
import time

import psycopg
from sqlalchemy import make_url

_PATIENCE_SECONDS = 5
"""How long to wait for the lock oneself; without it there is no fault."""

Span = tuple[float, float]


def hold(database: str, seconds: float) -> Span | None:
    """Hold the write lock for some seconds; return from when to when, None where it was not to be had."""
    url = make_url(database)
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        return _hold_sqlite(url.database, seconds)
    with (
        # Under the storm's own name: what cuts connections leaves this one alone.
        psycopg.connect(_plain(database), application_name="storm") as connection,
        contextlib.suppress(psycopg.errors.LockNotAvailable),
    ):
        connection.execute(f"SET lock_timeout = '{_PATIENCE_SECONDS}s'")
        # One table alone: with two, the order of locks would be another than the service's.
        connection.execute("LOCK TABLE tasks IN EXCLUSIVE MODE")
        span = _waited(seconds)
        connection.rollback()
        return span
    return None


def _hold_sqlite(path: str, seconds: float) -> Span | None:
    connection = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)
    with contextlib.closing(connection), contextlib.suppress(sqlite3.OperationalError):
        connection.execute("BEGIN IMMEDIATE")
        span = _waited(seconds)
        connection.execute("ROLLBACK")
        return span
    return None


def _waited(seconds: float) -> Span:
    began = time.time()
    time.sleep(seconds)
    return began, time.time()


def cut_connections(database: str) -> bool:
    """End half of a PostgreSQL's connections, by chance, in whatever they are doing; return whether there was one."""
    with psycopg.connect(_plain(database), autocommit=True) as connection:
        cut = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"
            " AND application_name <> 'storm'"
        )
        return cut.rowcount > 0


def _plain(database: str) -> str:
    """Return the URL of a PostgreSQL as psycopg takes it."""
    return database.replace("postgresql+psycopg://", "postgresql://", 1)
