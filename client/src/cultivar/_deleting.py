"""Deletions: what goes, what derives from it, and asking the service for it."""

from pydantic import BaseModel, ConfigDict

from cultivar._exchange import Flow, Send, exchange, new_key
from cultivar._records import Record


class JobMade(Record):
    """A job with what it has made, which goes with it.

    Attributes:
        dataset: id of the one that it makes.
        artifacts: how many files its result has.
    """

    kind: str
    state: str
    dataset: str | None = None
    generator: str | None = None
    classifier: str | None = None
    artifacts: int = 0


class Refusal(BaseModel):
    """Why nothing would be deleted."""

    model_config = ConfigDict(frozen=True, extra="allow")

    code: str
    detail: str


class Deletion(Record):
    """What was deleted, or what a dry run found.

    Attributes:
        id: what was asked for.
        dry_run: whether nothing was deleted.
        jobs: what goes, first what was asked for, or the job that makes the dataset that was.
        derived: what derives from that, over any number of steps, and stays.
        uploads: ids of those that go, because nothing that stays names them.
        freed_blobs: files that nothing names any more then.
        freed_bytes: their bytes.
        refusal: in a dry run, why it would be refused.
    """

    dry_run: bool
    jobs: tuple[JobMade, ...]
    derived: tuple[JobMade, ...] = ()
    uploads: tuple[str, ...] = ()
    freed_blobs: int = 0
    freed_bytes: int = 0
    refusal: Refusal | None = None


def delete(path: str, *, dry_run: bool, cascade: bool | None) -> Flow[Deletion]:
    """Delete what a path names; a retry after a lost answer is told what the first try did."""
    query = {"dry_run": "true"} if dry_run else {}
    if cascade is not None:
        query["cascade"] = str(cascade).lower()
    reply = yield from exchange(Send("DELETE", path, query, headers=new_key()))
    return Deletion.model_validate(reply.json())
