"""Deletions: what goes, what derives from it, what is freed."""

from app.api.schemas.base import Body, View
from app.api.schemas.problem import ProblemView


class DeletionChoice(Body):
    """What belongs to a deletion beside the id; part of what an `Idempotency-Key` stands for."""

    cascade: bool | None = None
    """Whether what derives from it is deleted too, or stays; null refuses where there is any."""


class JobMadeView(View):
    """A job with what it has made, which goes with it."""

    id: str
    kind: str
    state: str
    dataset: str | None
    """The dataset that it makes."""

    generator: str | None
    classifier: str | None
    artifacts: int
    """Files of its result."""


class DeletionView(View):
    """What was deleted, or what a dry run found."""

    id: str
    """What was asked for."""

    dry_run: bool
    """Whether nothing was deleted."""

    jobs: list[JobMadeView]
    """What goes: first the job that was asked for, or that makes the dataset."""

    derived: list[JobMadeView]
    """What derives from that, over any number of steps, and stays: it can be looked at and drawn from, but what
    names something deleted cannot be repeated."""

    uploads: list[str]
    """Uploads that go, because nothing that stays names them."""

    freed_blobs: int
    """Files that nothing names any more then. They are destroyed once two grace times have passed."""

    freed_bytes: int
    """Their bytes, but for checkpoints of jobs that did not succeed."""

    refusal: ProblemView | None
    """In a dry run: why it would be refused."""
