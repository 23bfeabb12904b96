"""A backup's rows as a database of their own: what may be looked at, or copied on, as any other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.exc import DBAPIError

from app.backup.folder import BackupError, Folder, Manifest
from app.backup.rows import LEFT_OUT, load_table
from app.store.database import Store
from app.store.migrate import known_revisions, migrate


@contextmanager
def loaded(folder: Folder, manifest: Manifest) -> Iterator[Store]:
    """Load the tables into an SQLite database in the system's temporary folder, at today's schema.

    Rows are taken as they are, also those that refer to nothing: whoever reads them judges them.

    Raises:
        BackupError: the schema is a later version's, or a table cannot be loaded.
    """
    if manifest.revision not in known_revisions():
        raise BackupError(
            f"{folder.path} has schema {manifest.revision}, of a later version ({manifest.version}) than"
            f" this one, whose schema is {known_revisions()[-1]}"
        )
    with TemporaryDirectory(prefix="cultivar-backup-") as temporary:
        url = f"sqlite:///{Path(temporary) / 'rows.db'}"
        _fill(url, folder, manifest)
        store = Store(url)
        try:
            yield store
        finally:
            store.close()


def _fill(url: str, folder: Folder, manifest: Manifest) -> None:
    # Not the store's engine: that one would refuse rows that refer to nothing.
    engine = create_engine(url)
    try:
        migrate(engine, manifest.revision)
        _require_tables(folder, manifest, engine)
        for name in manifest.tables:
            try:
                with engine.begin() as connection:
                    load_table(connection, folder.table(name), name)
            except DBAPIError as error:
                raise BackupError(f"{folder.table(name)} cannot be loaded: {error.orig}") from error
        if manifest.revision != known_revisions()[-1]:
            migrate(engine)
    finally:
        engine.dispose()


def _require_tables(folder: Folder, manifest: Manifest, engine: Engine) -> None:
    """Raise BackupError unless the manifest names the tables of its schema, all of them and no other."""
    wanted = set(inspect(engine).get_table_names()) - LEFT_OUT - {"alembic_version"}
    if wrong := wanted ^ manifest.tables.keys():
        raise BackupError(
            f"{folder.path} does not have the tables of schema {manifest.revision}; missing or too many:"
            f" {', '.join(sorted(wrong))}"
        )
