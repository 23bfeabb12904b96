"""Collection of blobs that no row names any more.

A blob is named by a row only after it has been put, so one without a row may be about to get one. Two
things keep such a blob, and any that a row names, from being taken:

- *Nothing younger than what is under way is taken.* Whoever is about to name a blob has a row that says
  since when: a task that runs, an upload that is received. One that lost its row (lease expired, upload given
  up) is refused when it comes to name anything. What was put after the oldest of these began, less a grace
  time for clocks that differ, is left alone, however long ago that is. Cutoff and references are read in one
  snapshot: a blob put before the cutoff is named in it, or by nobody who may still speak.
- *What is taken is first set aside*, where every reader still finds it and brings it back. That is for what
  happens after the snapshot: the same content, put anew and named at the very moment at which its name is
  taken away. What was set aside is destroyed in a later round, when all that was under way at that time has
  ended, and only if no row names it then either. In a folder, setting aside and bringing back are renames. An
  object store copies and then deletes; a process that stood still between the two for longer than the grace
  time, and during it another one brought the blob back, would delete what is named.

The register's row of a blob goes by itself, unless it was refreshed since the cutoff (see `Register`). No order
between row and file matters, and a process killed anywhere in between leaves nothing that the next round does
not find. Two collectors do each other no harm; they and backups take turns by a role only because a backup
copies what it has found named.

Rows let go of blobs too: results and checkpoints of a job's tasks are for its later tasks, so that once it has
ended, and the grace time has passed, they are cleared. Only tenants that the database knows are looked at: by
accident it may be the wrong one.
"""

import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select, update

from app.domain.jobs import TERMINAL
from app.domain.problems import Unavailable
from app.domain.records import UploadState
from app.domain.tasks import TaskState
from app.store.blob_files import BlobStore
from app.store.database import Store
from app.store.failpoints import failpoint
from app.store.references import references
from app.store.tables import blobs, jobs, tasks, uploads
from app.store.work import Work, in_statements

ROLE = "blobs"
"""Held by whoever takes blobs away, and by whoever must not have them taken away."""

_ROLE_SECONDS = 60.0
_ROLE_RENEWED_AFTER = 10.0


class BlobsTaken(Unavailable):
    """Another process collects, or makes a backup."""

    def __init__(self) -> None:
        super().__init__("Another process collects blobs or backs them up; try again later.")


@dataclass(slots=True)
class Collected:
    """What one round did; in a dry run, what it would have done.

    Attributes:
        cleared: tasks of ended jobs whose result and checkpoint were let go of.
        rows: of the register, taken away.
        set_aside: blobs that nothing named.
        destroyed: blobs deleted for good.
        set_aside_bytes: of those set aside.
        destroyed_bytes: of those destroyed; what the disk has gained.
    """

    cleared: int = 0
    rows: int = 0
    set_aside: int = 0
    destroyed: int = 0
    set_aside_bytes: int = 0
    destroyed_bytes: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())

    @property
    def anything(self) -> bool:
        return any(asdict(self).values())


@dataclass
class Collector:
    """Collects in rounds; what a round has set aside, a later one destroys.

    Attributes:
        grace_seconds: by how much clocks may differ, and what is deleted may still be brought back.
        holder: how the role's row names this process.
    """

    store: Store
    blobs: BlobStore
    grace_seconds: float
    holder: str
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _held_since: float = field(default=float("-inf"), init=False)

    def stop(self) -> None:
        """Have the round that runs end early, from another thread."""
        self._stop.set()

    def run_once(self, *, dry_run: bool = False) -> Collected:
        """Do one round over all tenants.

        Raises:
            BlobsTaken: another process has the role.
        """
        done = Collected()
        self._hold()
        try:
            self._clear_ended(done, dry_run)
            with self.store.read() as tx:
                tenants = [tenant.id for tenant in tx.tenants.list()]
            for tenant_id in tenants:
                self._tenant(tenant_id, done, dry_run)
        finally:
            self._held_since = float("-inf")
            with self.store.write() as tx:
                tx.roles.give_up(ROLE, self.holder)
        return done

    def _tenant(self, tenant_id: str, done: Collected, dry_run: bool) -> None:
        with self.store.snapshot() as tx:
            cutoff = _cutoff(tx, tenant_id, self.grace_seconds)
            named = {one.sha256 for one in references(tx, tenant_id)}
        self._end_aside(tenant_id, named, cutoff, done, dry_run)
        self._take_rows(tenant_id, named, cutoff, done, dry_run)
        for one in self.blobs.stored(tenant_id):
            if one.sha256 in named or one.modified >= cutoff:
                continue
            if not self._may_go_on():
                return
            done.set_aside += 1
            done.set_aside_bytes += one.bytes
            if not dry_run:
                self.blobs.set_aside(tenant_id, one.sha256)

    def _end_aside(
        self, tenant_id: str, named: set[str], cutoff: datetime, done: Collected, dry_run: bool
    ) -> None:
        """Bring back what is named after all; destroy what was set aside before the cutoff."""
        for one in self.blobs.aside(tenant_id):
            if not self._may_go_on():
                return
            # To ask for a blob brings it back.
            if one.sha256 in named and (dry_run or not self.blobs.exists(tenant_id, one.sha256)):
                continue
            if one.since >= cutoff:
                continue
            failpoint("garbage.before_destroy")
            if dry_run or self.blobs.destroy(one):
                done.destroyed += 1
                done.destroyed_bytes += one.bytes

    def _take_rows(
        self, tenant_id: str, named: set[str], cutoff: datetime, done: Collected, dry_run: bool
    ) -> None:
        """Take rows out of the register that were not refreshed since the cutoff."""
        old = (blobs.c.tenant_id == tenant_id, blobs.c.created_at < cutoff)
        with self.store.read() as tx:
            known = [row["sha256"] for row in tx.rows(select(blobs.c.sha256).where(*old))]
        unnamed = [sha256 for sha256 in known if sha256 not in named]
        if dry_run:
            done.rows += len(unnamed)
            return
        for some in in_statements(unnamed):
            if not self._may_go_on():
                return
            with self.store.write() as tx:
                # One that a transaction is refreshing is left to it, and not waited for.
                free = select(blobs.c.sha256).where(*old, blobs.c.sha256.in_(some))
                found = [row["sha256"] for row in tx.rows(free.with_for_update(skip_locked=True))]
                done.rows += tx.run(delete(blobs).where(*old, blobs.c.sha256.in_(found)))
            failpoint("garbage.after_rows")

    def _clear_ended(self, done: Collected, dry_run: bool) -> None:
        """Have tasks let go of what only later tasks of their job would have asked for."""
        kept = or_(tasks.c.result.is_not(None), tasks.c.checkpoint_sha256.is_not(None))
        with self.store.read() as tx:
            before = tx.now() - timedelta(seconds=self.grace_seconds)
            ended = (jobs.c.state.in_(TERMINAL), jobs.c.ended_at < before)
            theirs = select(tasks.c.id).join(jobs, jobs.c.id == tasks.c.job_id)
            ids = [row["id"] for row in tx.rows(theirs.where(*ended, kept))]
        done.cleared += len(ids)
        if dry_run:
            return
        nothing = {"result": None, "checkpoint_sha256": None, "checkpoint_step": None}
        for some in in_statements(ids):
            if not self._may_go_on():
                return
            with self.store.write() as tx:  # an ended job's tasks are nobody's any more
                tx.run(update(tasks).where(tasks.c.id.in_(some)).values(**nothing))

    def _may_go_on(self) -> bool:
        """Keep the role; False once told to stop.

        Raises:
            BlobsTaken: it was lost.
        """
        self._hold()
        return not self._stop.is_set()

    def _hold(self) -> None:
        now = time.monotonic()
        if now - self._held_since < _ROLE_RENEWED_AFTER:
            return
        with self.store.write() as tx:
            if not tx.roles.hold(ROLE, self.holder, _ROLE_SECONDS):
                raise BlobsTaken
        self._held_since = now


def _cutoff(work: Work, tenant_id: str, grace_seconds: float) -> datetime:
    """Return the time before which whatever was put is named by now, or never will be."""
    running = select(func.min(tasks.c.started_at)).where(
        tasks.c.tenant_id == tenant_id, tasks.c.state == TaskState.RUNNING
    )
    receiving = select(func.min(uploads.c.touched_at)).where(
        uploads.c.tenant_id == tenant_id, uploads.c.state == UploadState.RECEIVING
    )
    began: list[datetime | None] = [work.now(), work.scalar(running), work.scalar(receiving)]
    oldest = min(one for one in began if one is not None)
    return oldest - timedelta(seconds=grace_seconds)
