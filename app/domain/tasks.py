"""A task: the piece of a job that one worker claims, holds by a lease, and ends."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.domain.reviews import Awaited, ReviewItem, nothing_said


class TaskState(StrEnum):
    BLOCKED = "blocked"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class LeaseLost(Exception):
    """The task is no longer ours: another attempt, a cancel or an end came first. Stop; write nothing."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The fence. Every write of a worker names both, and a row count of 0 raises LeaseLost."""

    task_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a second attempt starts from: a blob of the job's tenant, and the step it was taken at."""

    sha256: str
    step: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Everything a worker needs to run a task; nothing in it is read again later.

    Attributes:
        earlier: results of the job's finished tasks, by stage code, in shard order.
        inputs: what the spec's ids stand for: ``{"dataset": manifest, "generator": …, "mix": […]}``.
        release_if: what must hold for the job's rows and models to be handed out.
        review: what a person has said so far: ``{"descriptions", "accepted", "rejected"}``, see `nothing_said`.
    """

    lease: Lease
    job_id: str
    tenant_id: str
    kind: str
    stage: str
    shard: int
    task_class: str
    spec: dict[str, Any]
    seed: int
    evaluate: dict[str, Any] | None
    payload: dict[str, Any]
    checkpoint: Checkpoint | None
    earlier: dict[str, list[dict[str, Any]]]
    inputs: dict[str, Any]
    seconds_left: float | None
    release_if: dict[str, Any] | None = None
    review: dict[str, Any] = field(default_factory=nothing_said)


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a heartbeat learns."""

    cancel_requested: bool
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task of a later stage, planned by the stage that ends."""

    stage: str
    shard: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A file of the job's result; its bytes are already in the blob store."""

    name: str
    sha256: str
    bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class NewModel:
    """A generator or a classifier that becomes visible with the job's end.

    Attributes:
        files: file name → ``{"sha256", "bytes"}``.
        config: method, classes, dimensions, licence; what `GET /v1/generators/{id}` shows.
    """

    files: dict[str, dict[str, Any]]
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Effects:
    """All that becomes true when a task succeeds, in one transaction.

    Attributes:
        result: kept in the task's row and given to later stages as ``earlier[stage][shard]``.
        plan: tasks of the stage that this one plans.
        dataset: manifest and statistics of the dataset that an `ingest` job makes.
        summary: merged into ``job.result``.
        withheld: why the job hands out nothing more; it ends as failed, with the artifacts it has.
        pause: what a person is awaited for. Once the last task of this stage has ended, the next stage
            waits until the job is resumed.
        review: what the person is shown, beside what is shown already.
    """

    result: dict[str, Any] = field(default_factory=dict)
    plan: tuple[NewTask, ...] = ()
    artifacts: tuple[NewArtifact, ...] = ()
    generator: NewModel | None = None
    classifier: NewModel | None = None
    dataset: dict[str, Any] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    withheld: str | None = None
    pause: Awaited | None = None
    review: tuple[ReviewItem, ...] = ()
