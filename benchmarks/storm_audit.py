"""Who changed which task, when, from what to what: written down by the database itself.

A trigger on `tasks` adds a row for each update. It sees what no log can deny: a write by a process
that did not hold the task, a change after the end, a lease that nobody renewed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import RowMapping, text

from app.domain.tasks import TaskState
from app.store.database import Store
from benchmarks.storm_launch import WRITER

_CHANGED = {
    "renewed": "NEW.lease_until IS DISTINCT FROM OLD.lease_until",
    "charged": (
        "(NEW.crash_count IS DISTINCT FROM OLD.crash_count"
        " OR NEW.crash_watermark IS DISTINCT FROM OLD.crash_watermark)"
    ),
}
_SEEN = (
    "NEW.id, NEW.job_id, NEW.stage, OLD.state, NEW.state, NEW.attempt, "
    f"{_CHANGED['renewed']}, {_CHANGED['charged']}"
)
_WATCHED = "state, attempt, lease_until, crash_count, crash_watermark, progress_value, watermark"
"""Not what collection clears of tasks that have ended: results and checkpoints."""

_COLUMNS = "at, writer, task_id, job_id, stage, old, new, attempt, renewed, charged"

_SQLITE = (
    """CREATE TABLE storm_audit (id INTEGER PRIMARY KEY, at REAL, writer TEXT, task_id TEXT,
    job_id TEXT, stage TEXT, old TEXT, new TEXT, attempt INTEGER, renewed INTEGER, charged INTEGER)""",
    f"""CREATE TRIGGER storm_audit AFTER UPDATE OF {_WATCHED} ON tasks BEGIN
    INSERT INTO storm_audit ({_COLUMNS})
    VALUES ((julianday('now') - 2440587.5) * 86400.0, {WRITER}(), {_SEEN}); END""",
)
_POSTGRESQL = (
    """CREATE TABLE storm_audit (id BIGSERIAL PRIMARY KEY, at DOUBLE PRECISION, writer TEXT,
    task_id TEXT, job_id TEXT, stage TEXT, old TEXT, new TEXT, attempt INTEGER, renewed BOOLEAN,
    charged BOOLEAN)""",
    f"""CREATE FUNCTION storm_audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO storm_audit ({_COLUMNS}) VALUES (
    extract(epoch from clock_timestamp()), current_setting('application_name'), {_SEEN});
    RETURN NULL; END $$""",
    f"""CREATE TRIGGER storm_audit AFTER UPDATE OF {_WATCHED} ON tasks
    FOR EACH ROW EXECUTE FUNCTION storm_audit()""",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One update of a task.

    Attributes:
        at: seconds since 1970, when the update ran; its transaction ended a little later.
        writer: name of the process, see `benchmarks.storm_parts`.
        renewed: whether the end of its lease moved.
        charged: whether a crash was charged.
    """

    at: float
    writer: str
    task_id: str
    job_id: str
    stage: str
    old: TaskState
    new: TaskState
    attempt: int
    renewed: bool
    charged: bool


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt: from the claim to the change that ended it.

    Attributes:
        end: that change; None where the task is running still.
        renewals: how often its holder moved the lease's end.
        claimed_again_at: when the next attempt was claimed, if one was.
    """

    claim: Change
    end: Change | None
    renewals: int
    claimed_again_at: float | None

    @property
    def ended_at(self) -> float:
        return float("inf") if self.end is None else self.end.at


def install(store: Store) -> None:
    """Begin the audit of a migrated database."""
    with store.write() as tx:
        sqlite = tx.connection.dialect.name == "sqlite"
        for statement in _SQLITE if sqlite else _POSTGRESQL:
            tx.connection.exec_driver_sql(statement)


def by_task(store: Store) -> list[list[Change]]:
    """Return the changes of each task in order."""
    query = f"SELECT {_COLUMNS} FROM storm_audit ORDER BY task_id, id"
    with store.read() as tx:
        changes = [_change(row) for row in tx.rows(text(query))]
    return [list(group) for _, group in groupby(changes, lambda change: change.task_id)]


def latest(store: Store) -> int:
    """Return a number that grows with each change of a task."""
    with store.read() as tx:
        return int(tx.scalar(text("SELECT max(id) FROM storm_audit")) or 0)


def last_job(store: Store, writer: str) -> str | None:
    """Return the job whose task a process changed last."""
    query = text("SELECT job_id FROM storm_audit WHERE writer = :writer ORDER BY id DESC LIMIT 1")
    with store.read() as tx:
        found: str | None = tx.scalar(query.bindparams(writer=writer))
    return found


def last_claimer(store: Store, stage: str) -> str | None:
    """Return the process that claimed a task of a stage last."""
    query = text(
        "SELECT writer FROM storm_audit WHERE stage = :stage AND old = 'queued' AND new = 'running'"
        " ORDER BY id DESC LIMIT 1"
    )
    with store.read() as tx:
        found: str | None = tx.scalar(query.bindparams(stage=stage))
    return found


def attempts(changes: list[Change]) -> Iterator[Held]:
    """Yield the attempts of one task in order."""
    claims = [n for n, one in enumerate(changes) if is_claim(one)]
    for claim, following in zip(claims, [*claims[1:], None], strict=False):
        during = changes[claim + 1 : following]
        end = next((one for one in during if one.new is not TaskState.RUNNING), None)
        yield Held(
            claim=changes[claim],
            end=end,
            renewals=sum(_is_renewal(one, changes[claim]) for one in during),
            claimed_again_at=None if following is None else changes[following].at,
        )


def is_claim(change: Change) -> bool:
    return change.old is TaskState.QUEUED and change.new is TaskState.RUNNING


def _is_renewal(change: Change, claim: Change) -> bool:
    running = change.old is TaskState.RUNNING and change.new is TaskState.RUNNING
    return running and change.renewed and change.writer == claim.writer


def _change(row: RowMapping) -> Change:
    return Change(
        at=row["at"],
        writer=row["writer"],
        task_id=row["task_id"],
        job_id=row["job_id"],
        stage=row["stage"],
        old=TaskState(row["old"]),
        new=TaskState(row["new"]),
        attempt=row["attempt"],
        renewed=bool(row["renewed"]),
        charged=bool(row["charged"]),
    )
