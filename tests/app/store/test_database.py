"""The store's transactions, and its schema on both databases."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from app.domain.jobs import JobState
from app.domain.problems import NotFound, Unavailable
from app.store import database
from app.store.database import Store
from app.store.tables import metadata


def test_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    with store.read() as tx:
        context = MigrationContext.configure(tx.connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(store: Store) -> None:
    with store.write() as tx:
        tx.tenants.create("kept")
    store.migrate()
    with store.read() as tx:
        assert tx.tenants.by_name("kept")


def test_a_job_of_an_earlier_schema_is_there_after_the_migration(database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", "app.store:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine(database_url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO tenants (id, name, created_at) VALUES ('ten_1', 'old', '2026-01-01')")
        )
        connection.execute(
            text(
                "INSERT INTO jobs (id, tenant_id, kind, spec, seed, metadata, state, version, created_at,"
                " counts, cpu_seconds, gpu_seconds) VALUES ('job_1', 'ten_1', 'ingest', '{}', 1, '{}',"
                " 'running', 3, '2026-01-01', '{}', 0, 0)"
            )
        )
    engine.dispose()
    store = Store(database_url)
    store.migrate()
    with store.read() as tx:
        job = tx.jobs.get("ten_1", "job_1")
        assert job is not None
        assert (job.state, job.awaiting) == (JobState.RUNNING, None)
        assert tx.reviews.said("ten_1", "job_1")["descriptions"] is None
    store.close()


def test_many_may_migrate_at_once(database_url: str) -> None:
    stores = [Store(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(Store.migrate, stores))  # raises what any of them raised
    for store in stores:
        store.close()


def test_an_exception_leaves_nothing_behind(store: Store) -> None:
    def write_and_stumble() -> None:
        with store.write() as tx:
            tx.tenants.create("never")
            tx.tenants.get("ten_unknown")

    with pytest.raises(NotFound):
        write_and_stumble()
    with store.read() as tx:
        assert tx.tenants.by_name("never") is None


def test_a_locked_database_is_unavailable_and_says_when_to_come_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.3)
    other = Store(database_url)
    locked, release = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with store.write() as tx:
            if "postgresql" in database_url:
                tx.run(text("LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE"))
            locked.set()
            release.wait(30)

    holder = threading.Thread(target=hold_the_lock)
    holder.start()
    try:
        assert locked.wait(10)
        with pytest.raises(Unavailable) as caught, other.write() as tx:
            tx.tenants.create("late")
    finally:
        release.set()
        holder.join()
        other.close()
    assert caught.value.retryable
    assert caught.value.headers["Retry-After"] == "1"


_HOLD_THE_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_migrating_a_locked_database_is_unavailable_and_leaves_it_as_it_was(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.3)
    store = Store(sqlite_url)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD_THE_LOCK, sqlite_url.removeprefix("sqlite:///")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(Unavailable) as caught:
            store.migrate()
        holder.communicate()
    assert caught.value.headers["Retry-After"] == "1"
    store.migrate()
    with store.read() as tx:
        assert tx.tenants.list() == []
    store.close()


@pytest.mark.parametrize("act", [Store.ping, Store.migrate])
def test_an_unreachable_database_is_unavailable(
    tmp_path: Path, act: Callable[[Store], None]
) -> None:
    store = Store(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}")
    with pytest.raises(Unavailable):
        act(store)
    store.close()


def test_sqlite_keeps_what_it_has_acknowledged(sqlite_url: str, tmp_path: Path) -> None:
    store = Store(sqlite_url)
    store.migrate()
    with store.read() as tx:
        # 2 is FULL: each commit is on disk before it is acknowledged.
        assert tx.scalar(text("PRAGMA synchronous")) == 2
        assert tx.scalar(text("PRAGMA foreign_keys")) == 1
        assert tx.scalar(text("PRAGMA journal_mode")) == "wal"
    store.close()


def test_a_store_is_never_in_memory() -> None:
    with pytest.raises(ValueError, match="file"):
        Store("sqlite://")


@pytest.mark.parametrize(
    ("failpoint", "kept"), [("store.before_commit", False), ("store.after_commit", True)]
)
def test_a_process_killed_around_its_commit_leaves_all_or_nothing(
    sqlite_url: str, failpoint: str, kept: bool
) -> None:
    store = Store(sqlite_url)
    store.migrate()
    program = (
        "import sys; from app.store.database import Store\n"
        "with Store(sys.argv[1]).write() as tx: tx.tenants.create('half')"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, sqlite_url],
        env={"CULTIVAR_FAILPOINT": failpoint},
        check=False,
    )
    assert child.returncode == 137
    with store.read() as tx:
        assert (tx.tenants.by_name("half") is not None) is kept
    store.close()


def test_times_come_back_as_they_were_put(store: Store) -> None:
    with store.write() as tx:
        made = tx.tenants.create("now")
        assert tx.tenants.get(made.id).created_at == made.created_at
        assert made.created_at.utcoffset() is not None


def test_this_sqlite_has_what_the_store_uses() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35)  # RETURNING
