"""What the database holds after a storm, read once."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import RowMapping, Table, select

from app.domain.jobs import TERMINAL, JobState
from app.store import tables
from app.store.database import Store
from app.store.work import Work

Row = RowMapping


@dataclass(frozen=True)
class Records:
    """All rows, by the job that they belong to.

    Attributes:
        inputs: ids of the jobs that a job waits for.
        labels: jobs by the label that their request carried.
        named: datasets by their name.
    """

    jobs: dict[str, Row]
    tasks: dict[str, list[Row]]
    events: dict[str, list[Row]]
    artifacts: dict[str, list[Row]]
    datasets: dict[str, list[Row]]
    generators: dict[str, list[Row]]
    classifiers: dict[str, list[Row]]
    inputs: dict[str, list[str]]
    labels: dict[str, list[str]]
    named: dict[str, list[Row]]

    def state(self, job_id: str) -> JobState:
        return JobState(self.jobs[job_id]["state"])

    def made(self, what: str) -> dict[str, list[Row]]:
        """Return the rows of datasets, generators or classifiers, by the noun in the singular."""
        rows: dict[str, list[Row]] = getattr(self, f"{what}s")
        return rows


def read(store: Store) -> Records:
    """Read it all, in one transaction."""
    with store.read() as tx:
        labels = _by("value", _all(tx, tables.job_labels))
        inputs = _by("job_id", _all(tx, tables.job_inputs))
        datasets = _all(tx, tables.datasets)
        return Records(
            jobs={row["id"]: row for row in _all(tx, tables.jobs)},
            tasks=_by("job_id", _all(tx, tables.tasks)),
            events=_by("job_id", _all(tx, tables.events)),
            artifacts=_by("job_id", _all(tx, tables.artifacts)),
            datasets=_by("job_id", datasets),
            generators=_by("job_id", _all(tx, tables.generators)),
            classifiers=_by("job_id", _all(tx, tables.classifiers)),
            inputs={job: [row["input_id"] for row in rows] for job, rows in inputs.items()},
            labels={key: [row["job_id"] for row in rows] for key, rows in labels.items()},
            named=_by("name", datasets),
        )


def unfinished(store: Store) -> int:
    """Return how many jobs have not ended."""
    with store.read() as tx:
        counts = tx.jobs.counts_by_state()
    return sum(number for state, number in counts.items() if state not in TERMINAL)


def _all(work: Work, table: Table) -> Iterable[Row]:
    return work.rows(select(table).order_by(*table.primary_key))


def _by(column: str, rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups
