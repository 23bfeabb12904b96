"""Brings a database to the schema of this version, under a lock."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from app.domain.problems import Unavailable

_ADVISORY_LOCK = 0x63756C7469766172  # "cultivar"


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrade to the newest migration, or to an earlier one; does nothing where that is done.

    Raises:
        Unavailable: the database was made by a later version.
    """
    config = _config()
    with _one_process(engine), engine.connect() as connection:
        connection.execution_options(cultivar_write=True)
        with connection.begin():
            _wait_for_others(connection)
            found, known = revision_of(connection), known_revisions()
            if found is not None and found not in known:
                raise Unavailable(
                    f"The database has schema {found}, of a later version; this one has {known[-1]}."
                )
            config.attributes["connection"] = connection
            command.upgrade(config, revision)


def revision_of(connection: Connection) -> str | None:
    """Return the migration that a database is at; None where it has had none."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def known_revisions() -> tuple[str, ...]:
    """Return every migration of this version, oldest first."""
    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(step.revision for step in steps)[::-1]


def _config() -> Config:
    # The migrations travel in this package, so an installed distribution needs no file beside it.
    config = Config()
    config.set_main_option("script_location", "app.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _one_process(engine: Engine) -> Iterator[None]:
    """SQLite's own lock is waited for by seconds only; a migration may take longer."""
    if engine.dialect.name != "sqlite":
        yield
        return
    with Path(f"{engine.url.database}.migrating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, also by a death
        yield


def lift_limits(connection: Connection) -> None:
    """Let a PostgreSQL transaction take its time: the engine's limits are for ordinary work.

    On SQLite a transaction has none.
    """
    if connection.dialect.name != "postgresql":
        return
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _wait_for_others(connection: Connection) -> None:
    lift_limits(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
