"""Jobs: one resource for every kind of work."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.schemas.base import Body, View
from app.api.schemas.problem import ProblemView
from app.domain.jobs import JobState
from app.domain.reviews import Awaited
from app.domain.specs import EvaluateSpec, JobSpec, ReleaseSpec

MetadataKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
MetadataValue = Annotated[str, Field(max_length=512)]


class JobRequest(Body):
    """Ask for a job."""

    spec: JobSpec
    """What to do; `kind` says which method."""

    seed: Annotated[int, Field(ge=0, le=(1 << 63) - 1)] = 0
    """Everything random in the job follows from it."""

    evaluate: EvaluateSpec = EvaluateSpec()
    """How the job measures itself; ignored by `sample` and `embed`."""

    release_if: ReleaseSpec | None = None
    """What must hold for an `alia`, `gelda` or `glico` job to hand out rows or images, generator and classifier.
    Where something does not, the job fails with `not_released` and only its report can be read."""

    deadline_seconds: Annotated[float, Field(gt=0, le=30 * 86400)] | None = None
    """How long after its creation the job may still run; while it waits for a person, that time stands still."""

    metadata: Annotated[
        dict[MetadataKey, MetadataValue], Field(max_length=32, default_factory=dict)
    ]
    """The caller's own labels; lists filter by them."""


class StepView(View):
    """Progress of one stage; `max` is 0 until it is known."""

    code: str
    value: float
    max: float


class JobResult(View):
    """What a successful job made; a kind's own figures stand beside these."""

    model_config = ConfigDict(extra="allow")

    generator: str | None = None
    """A generator's id."""

    classifier: str | None = None
    """A classifier's id."""

    dataset: str | None = None
    """A dataset's id."""


class JobView(View):
    """A job as it is now."""

    id: str
    kind: str
    state: JobState
    spec: dict[str, Any]
    """The resolved spec: defaults filled in."""

    seed: int
    evaluate: dict[str, Any] | None
    release_if: dict[str, Any] | None
    """What must hold for its rows and models to be handed out."""

    metadata: dict[str, str]
    blocked_by: list[str]
    """Unfinished jobs that must succeed before this one starts."""

    cancel_requested: bool
    deadline_seconds: float | None
    deadline_at: datetime | None
    """Null also while the job waits for a person."""

    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    retry_of: str | None
    """The job that this one repeats."""

    error: ProblemView | None
    result: JobResult | None
    steps: list[StepView]
    counts: dict[str, int]
    """Items requested, generated, filtered and failed; and skipped, of classes that nothing can be made of."""

    usage: dict[str, float]
    """`cpu_seconds` and `gpu_seconds`."""

    eta_seconds: float | None
    queue_position: int | None
    unserved_class: Literal["cpu", "gpu"] | None
    """Why it waits: it has tasks of this class to do, and no live worker serves it."""

    awaiting: Awaited | None
    """What a person is awaited for; the job goes on when it is resumed."""


class EventView(View):
    """Something that happened to a job."""

    seq: int
    """Grows; the cursor of `after` and of `Last-Event-ID`."""

    job_id: str
    type: str
    data: dict[str, Any]
    created_at: datetime | None


class InputView(View):
    """A resource that a spec names."""

    id: str
    param: str
    """Where the spec names it."""

    state: str
    job_id: str | None
    """The unfinished job that makes it, if there is one."""


class StageView(View):
    """One stage of the job's pipeline."""

    code: str
    task_class: Literal["cpu", "gpu"]
    sharded: bool
    """Whether it is cut into tasks that run side by side."""


class JobPlan(View):
    """What would be done."""

    stages: list[StageView]
    requested: dict[str, int] | None
    """Rows or images to make by class, from the counts of all rows of the dataset; null where they are
    not known yet. `glico` makes none of a class without two images that may be trained on, `alia` none of one
    without any."""

    cells: dict[str, dict[str, int]] | None
    """The same by class and subdomain, from the rows that may be trained on; null in a job without
    `subdomains`."""


class ValidationView(View):
    """A dry run: the resolved request and its plan. Nothing was made."""

    kind: str
    spec: dict[str, Any]
    seed: int
    evaluate: dict[str, Any] | None
    release_if: dict[str, Any] | None
    deadline_seconds: float | None
    metadata: dict[str, str]
    inputs: list[InputView]
    blocked_by: list[str]
    """Unfinished jobs that it would wait for."""

    plan: JobPlan
