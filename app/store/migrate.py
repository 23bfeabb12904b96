"""Brings a database to the schema of this version, under a lock."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

_ADVISORY_LOCK = 0x63756C7469766172  # "cultivar"


def migrate(engine: Engine) -> None:
    """Upgrade to the newest migration; does nothing where that is done.

    The migrations travel in this package, so an installed distribution needs no file beside it.
    """
    config = Config()
    config.set_main_option("script_location", "app.store:migrations")
    config.set_main_option("path_separator", "os")
    with _one_process(engine), engine.connect() as connection:
        connection.execution_options(cultivar_write=True)
        with connection.begin():
            _wait_for_others(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@contextmanager
def _one_process(engine: Engine) -> Iterator[None]:
    """SQLite's own lock is waited for by seconds only; a migration may take longer."""
    if engine.dialect.name != "sqlite":
        yield
        return
    with Path(f"{engine.url.database}.migrating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, also by a death
        yield


def _wait_for_others(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # The engine's limits are for ordinary work.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
