"""A unit of work: one transaction, its clocks, and what it has made claimable."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Executable, Insert, RowMapping, Table, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")

_ROWS_OF_A_STATEMENT = 1000  # both databases limit the values of one


class Clock(Protocol):
    """What decides leases where the database has no clock of its own."""

    def seconds(self) -> float: ...

    def boot_id(self) -> str: ...


class Work:
    """What every repository is given.

    On PostgreSQL a repository locks a job's row before it writes that job's tasks or events, always in
    this order and from an input to its dependents; on SQLite a writing transaction is alone.

    Attributes:
        connection: in its transaction.
        writable: whether this is a writing transaction.
        queued: tasks made claimable by this transaction, by class. Whoever opened it rings the bell for
            them after the commit; a bell that is lost is rung by the reconciler.
        afterwards: small writes that a reading transaction leaves for after its end.
    """

    def __init__(self, connection: Connection, clock: Clock, *, writable: bool) -> None:
        self.connection = connection
        self.writable = writable
        self.queued: Counter[str] = Counter()
        self.afterwards: list[Callable[[Work], object]] = []
        self._clock = clock
        self._now: datetime | None = None
        self._postgresql = connection.dialect.name == "postgresql"

    def now(self) -> datetime:
        """Return the time of day of this transaction's first look at it: the database's, or the host's."""
        if self._now is None:
            if self._postgresql:
                found = self.connection.scalar(select(func.clock_timestamp()))
                assert isinstance(found, datetime)
                self._now = found.astimezone(UTC)
            else:
                self._now = datetime.now(UTC)
        return self._now

    def lease_now(self) -> float:
        """Return the lease clock in seconds, looked at anew: a transaction may have waited for a lock."""
        if self._postgresql:
            found = self.connection.scalar(select(func.extract("epoch", func.clock_timestamp())))
            assert found is not None
            return float(found)
        return self._clock.seconds()

    @property
    def boot_id(self) -> str:
        """Which boot the lease clock counts from; PostgreSQL's counts from none."""
        return "" if self._postgresql else self._clock.boot_id()

    def row(self, statement: Executable, **values: Any) -> RowMapping | None:
        """Return the first row, or None; ``values`` are those of the statement's parameters, if it has any."""
        return self.connection.execute(statement, values or None).mappings().first()

    def rows(self, statement: Executable, **values: Any) -> Sequence[RowMapping]:
        """Return all rows."""
        return self.connection.execute(statement, values or None).mappings().all()

    def scalar(self, statement: Executable, **values: Any) -> Any:
        """Return the first column of the first row, or None."""
        return self.connection.execute(statement, values or None).scalar()

    def lock(self, statement: Executable, **values: Any) -> None:
        """Lock the rows that a statement finds; on SQLite a writing transaction is alone without it."""
        if self._postgresql:
            self.connection.execute(statement, values)

    def run(self, statement: Executable) -> int:
        """Execute a write and return how many rows it met."""
        return self.connection.execute(statement).rowcount

    def insert(self, table: Table, *rows: Mapping[str, Any]) -> None:
        """Insert rows, all of the same columns, by a statement that is made once for each table."""
        if rows:
            self.connection.execute(_insert_into(table), list(rows))

    def insert_unless_there(self, table: Table, **values: Any) -> bool:
        """Insert a row; return False if one of its primary key exists.

        On PostgreSQL this waits for a transaction that is inserting the same key to end.
        """
        wanted = self._dialects_insert(table).values(**values).on_conflict_do_nothing()
        # By what comes back: psycopg does not count the rows of an insert.
        first_key = next(iter(table.primary_key))
        return self.row(wanted.returning(first_key)) is not None

    def upsert(self, table: Table, **values: Any) -> None:
        """Insert a row, or replace what an existing row of its primary key holds."""
        self.upsert_all(table, [values])

    def upsert_all(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert or replace rows of the same columns; no more than `in_statements` gives at once."""
        wanted = self._dialects_insert(table).values(rows)
        keys = [column.name for column in table.primary_key]
        changed = {name: wanted.excluded[name] for name in rows[0] if name not in keys}
        self.run(wanted.on_conflict_do_update(index_elements=keys, set_=changed))

    def _dialects_insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """Return an insert that knows what to do where the row exists."""
        return postgresql.insert(table) if self._postgresql else sqlite.insert(table)


@cache
def _insert_into(table: Table) -> Insert:
    return insert(table)


def in_statements(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield rows in pieces that one statement may write or name."""
    for start in range(0, len(rows), _ROWS_OF_A_STATEMENT):
        yield rows[start : start + _ROWS_OF_A_STATEMENT]
