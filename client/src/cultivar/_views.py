"""What a handle knows without asking the service; shared by both clients' handles."""

from collections.abc import Mapping
from typing import Any

from cultivar._exceptions import CultivarError, JobFailed
from cultivar._records import SUCCESSFUL, UNFINISHED, DatasetRecord, JobRecord, Progress


class JobView:
    """A job as it was when the service was last asked."""

    def __init__(self, record: JobRecord) -> None:
        self.record = record

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.kind} {self.state}>"

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def kind(self) -> str:
        return self.record.kind

    @property
    def state(self) -> str:
        return self.record.state

    @property
    def spec(self) -> Mapping[str, Any]:
        """The resolved spec: defaults filled in."""
        return self.record.spec

    @property
    def seed(self) -> int | None:
        return self.record.seed

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.record.metadata

    @property
    def steps(self) -> tuple[Progress, ...]:
        return self.record.steps

    @property
    def counts(self) -> Mapping[str, int]:
        """Items requested, generated, filtered and failed."""
        return self.record.counts

    @property
    def result(self) -> Mapping[str, Any]:
        """What the job made: ids of a generator, a classifier; empty until it has succeeded."""
        return self.record.result or {}

    @property
    def error(self) -> Mapping[str, Any] | None:
        """The problem that ended the job, if one did."""
        return self.record.error

    @property
    def awaiting(self) -> str | None:
        """What the job waits for a person to look at: ``descriptions``, ``edits``, or None."""
        return self.record.awaiting

    @property
    def finished(self) -> bool:
        return self.state not in UNFINISHED

    @property
    def succeeded(self) -> bool:
        return self.state in SUCCESSFUL

    def raise_for_state(self) -> None:
        """Raise JobFailed if the job ended without success."""
        if self.finished and not self.succeeded:
            raise JobFailed(self.id, self.state, self.error)

    def _made(self, noun: str) -> str:
        found = self.result.get(noun)
        if not isinstance(found, str):
            raise CultivarError(f"{self.id} ({self.kind}, {self.state}) has made no {noun}")
        return found

    def _detached(self) -> str:
        return (
            f"Detached: {self.id} goes on at the service. Come back to it with\n"
            f"  cultivar jobs wait {self.id}\n"
            f'or, in Python, client.jobs.get("{self.id}").wait()'
        )


class DatasetView:
    """A dataset as it was when the service was last asked."""

    def __init__(self, record: DatasetRecord) -> None:
        self.record = record

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.name!r} {self.state}>"

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def state(self) -> str:
        return self.record.state

    @property
    def job_id(self) -> str:
        """The ingest job that makes it."""
        return self.record.job_id

    @property
    def manifest(self) -> Mapping[str, Any] | None:
        """Rows, dimensions, classes and splits; None until it is ready."""
        return self.record.manifest

    @property
    def error(self) -> Mapping[str, Any] | None:
        return self.record.error
