"""A job: what a user asked for, in which state it is, and which state may follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from app.domain.reviews import Awaited


class JobState(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    AWAITING_REVIEW = "awaiting_review"
    FINALIZING = "finalizing"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


S = JobState

TERMINAL = frozenset({S.SUCCEEDED, S.PARTIALLY_SUCCEEDED, S.FAILED, S.CANCELED, S.EXPIRED})
SUCCESSFUL = frozenset({S.SUCCEEDED, S.PARTIALLY_SUCCEEDED})

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    # A queued job can fail without having started: an input of it failed.
    S.QUEUED: frozenset({S.STARTING, S.CANCELED, S.EXPIRED, S.FAILED}),
    S.STARTING: frozenset({S.RUNNING, S.CANCELING, S.CANCELED, S.FAILED, S.FINALIZING}),
    S.RUNNING: frozenset({S.FINALIZING, S.AWAITING_REVIEW, S.CANCELING, S.CANCELED, S.FAILED}),
    S.AWAITING_REVIEW: frozenset({S.RUNNING, S.CANCELED, S.FAILED}),
    S.FINALIZING: frozenset(
        {S.SUCCEEDED, S.PARTIALLY_SUCCEEDED, S.CANCELING, S.CANCELED, S.FAILED}
    ),
    S.CANCELING: frozenset({S.CANCELED, S.FAILED}),
    **{state: frozenset() for state in TERMINAL},
}


class IllegalTransition(Exception):
    """A bug of ours: the code asked for a transition the table does not have."""

    def __init__(self, old: JobState, new: JobState) -> None:
        super().__init__(f"a job cannot go from {old} to {new}")


def check_transition(old: JobState, new: JobState) -> None:
    """Raise IllegalTransition unless ``TRANSITIONS`` has ``old → new``."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(old, new)


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a job's pipeline.

    Attributes:
        code: the step's name, as shown in ``steps``.
        task_class: ``cpu``, or ``gpu`` for work that wants an accelerator (and runs without one).
        planned_by: the stage whose end says which tasks this one has; None means exactly one task.
        only_with: the part of a spec without which the job has no such stage.
    """

    code: str
    task_class: str
    planned_by: str | None = None
    only_with: str | None = None


def _embedding(only_with: str | None = None) -> tuple[Stage, ...]:
    """Return the stages that make embeddings of raw data: a model at hand, vectors in shards, one array."""
    return (
        Stage("fetch", "cpu", only_with=only_with),
        Stage("encode", "gpu", planned_by="fetch", only_with=only_with),
        Stage("gather", "cpu", only_with=only_with),
    )


# The shape of every kind of job. What the stages do is `workers/pipelines`' business.
JobKind = Literal["alia", "classifier", "embed", "gelda", "glico", "ingest", "sample"]

PIPELINES: dict[str, tuple[Stage, ...]] = {
    "ingest": (Stage("ingest", "cpu"),),
    "embed": _embedding(),
    "gelda": (
        *_embedding(only_with="encoder"),
        Stage("prepare", "gpu"),
        Stage("train", "gpu", planned_by="prepare"),
        Stage("choose", "cpu"),
        Stage("sample", "gpu", planned_by="choose"),
        Stage("rivals", "gpu", planned_by="choose"),
        Stage("evaluate", "cpu"),
        Stage("publish", "cpu"),
    ),
    "glico": (
        Stage("prepare", "cpu"),
        Stage("train", "gpu"),
        # What is searched is known before there is a generator: which arms, which candidates of each.
        Stage("search", "gpu", planned_by="prepare"),
        Stage("choose", "cpu"),
        Stage("classify", "gpu", planned_by="choose"),
        Stage("sample", "gpu", planned_by="choose"),
        Stage("evaluate", "cpu"),
        Stage("publish", "cpu"),
    ),
    "alia": (
        Stage("prepare", "cpu"),
        Stage("caption", "gpu", planned_by="prepare"),
        Stage("summarise", "gpu"),
        # Classifiers of the real images alone, each of which has not seen one part of them.
        Stage("folds", "gpu", planned_by="prepare"),
        Stage("plan", "gpu"),
        Stage("edit", "gpu", planned_by="plan"),
        # Which filters and which classical augmentation every arm takes is looked at side by side.
        Stage("search", "gpu", planned_by="plan"),
        Stage("choose", "cpu"),
        # What the filters dropped is edited anew.
        Stage("top_up", "gpu", planned_by="choose"),
        Stage("select", "cpu"),
        Stage("classify", "gpu", planned_by="choose"),
        Stage("evaluate", "cpu"),
        Stage("publish", "cpu"),
    ),
    "sample": (
        Stage("plan", "cpu"),
        Stage("sample", "gpu", planned_by="plan"),
        Stage("publish", "cpu"),
    ),
    "classifier": (Stage("fit", "cpu"), Stage("publish", "cpu")),
}


MAKE_DATASETS = frozenset({"embed", "ingest"})
"""Kinds of job that end in a dataset, which has a row before it is made."""


def stages_of(kind: str, spec: Mapping[str, Any]) -> dict[int, Stage]:
    """Return the stages of a job by their place in the pipeline of its kind."""
    return {
        index: stage
        for index, stage in enumerate(PIPELINES[kind])
        if stage.only_with is None or spec.get(stage.only_with) is not None
    }


@dataclass(frozen=True, slots=True)
class Step:
    """Progress of one stage, summed over its tasks; ``max`` is 0 until it is known."""

    code: str
    value: float
    max: float


@dataclass(frozen=True, slots=True)
class Job:
    """A job's row, as the API shows it and a pipeline reads it.

    Attributes:
        unserved_class: the class of tasks of it that could be claimed now, if no live worker serves it.
        awaiting: what a person is awaited for, while one is; its deadline stands still meanwhile.
    """

    id: str
    tenant_id: str
    kind: str
    spec: dict[str, Any]
    seed: int
    state: JobState
    created_at: datetime
    version: int
    evaluate: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    blocked_by: tuple[str, ...] = ()
    cancel_requested: bool = False
    deadline_seconds: float | None = None
    deadline_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    retry_of: str | None = None
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    steps: tuple[Step, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    eta_seconds: float | None = None
    queue_position: int | None = None
    unserved_class: str | None = None
    release_if: dict[str, Any] | None = None
    awaiting: Awaited | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """What the API has validated and asks the store to keep.

    Attributes:
        inputs: ids of unfinished jobs that must succeed before this one may start.
        release_if: what must hold for what it makes to be handed out.
        makes_dataset: the dataset that it is going to fill, which a job may name before that.
    """

    tenant_id: str
    kind: str
    spec: dict[str, Any]
    seed: int
    evaluate: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    deadline_seconds: float | None = None
    inputs: tuple[str, ...] = ()
    retry_of: str | None = None
    release_if: dict[str, Any] | None = None
    makes_dataset: str | None = None
