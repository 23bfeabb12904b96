"""What the audit of tasks must show: who holds a task, alone writes it; who lives, keeps it; who dies, is replaced."""

import math
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.domain.tasks import TaskState
from benchmarks.storm_audit import Change, Held, attempts, is_claim
from benchmarks.storm_parts import Life

S = TaskState
_ENDED = {S.SUCCEEDED, S.FAILED, S.CANCELED}
_OPEN_TO_ALL = {
    (S.BLOCKED, S.QUEUED),
    (S.BLOCKED, S.CANCELED),
    (S.QUEUED, S.RUNNING),
    (S.QUEUED, S.CANCELED),
    (S.RUNNING, S.QUEUED),
    (S.RUNNING, S.FAILED),
    (S.RUNNING, S.CANCELED),
}
"""Changes that the API, the reconciler or another task's end may make."""

RECOVERY_SECONDS = 5.0
"""What the promise allows beyond the lease."""

Span = tuple[float, float]


def trespasses(tasks: Iterable[list[Change]]) -> Iterator[str]:
    """Yield each write of a task that the fence should have refused."""
    for changes in tasks:
        holder, attempt = "", 0
        for one in changes:
            if is_claim(one):
                if one.attempt <= attempt:
                    yield f"{_task(one)} was claimed again as attempt {one.attempt}"
                holder, attempt = one.writer, one.attempt
            elif one.old in _ENDED:
                yield f"{_task(one)} was changed by {one.writer} after it was {one.old}"
            elif one.old is S.RUNNING and one.new in {S.RUNNING, S.SUCCEEDED}:
                # A crash is charged by whoever finds the lease expired.
                if one.writer != holder and not one.charged:
                    kept = "renewed" if one.renewed else "written"
                    what = kept if one.new is S.RUNNING else f"set to {one.new}"
                    yield f"{_task(one)}, held by {holder}, was {what} by {one.writer}"
            elif (one.old, one.new) not in _OPEN_TO_ALL:
                yield f"{_task(one)} went from {one.old} to {one.new} by {one.writer}"


def silent(
    tasks: Sequence[list[Change]], lives: Sequence[Life], shaken: Sequence[Span], lease: float
) -> Iterator[str]:
    """Yield each attempt of a living, undisturbed worker that in a whole lease renewed nothing.

    Args:
        tasks: the audit.
        lives: of all processes that write to the database.
        shaken: when nobody could have written.
        lease: in seconds.
    """
    pauses = {life.writer: life.pauses for life in lives}
    # A paused process may hold the database's lock, so that all are disturbed by it.
    troubles = [*shaken, *(pause for spans in pauses.values() for pause in spans)]
    ends = {life.writer: life.ended or math.inf for life in lives}
    writes = sorted((one.at, one.writer) for changes in tasks for one in changes)
    for held in (held for changes in tasks for held in attempts(changes)):
        writer, began = held.claim.writer, held.claim.at
        span = (began, began + 1.5 * lease)
        if held.renewals or held.ended_at - began < lease or ends[writer] < span[1]:
            continue
        if _meets(span, pauses[writer]):
            continue
        if _meets(span, troubles) and not _others_wrote(writes, writer, began, lease):
            continue
        yield f"{_task(held.claim)}: {writer} lived and renewed nothing for a lease"


def _others_wrote(
    writes: Sequence[tuple[float, str]], writer: str, began: float, lease: float
) -> bool:
    """Return whether another process got to write in each quarter of a lease."""
    quarters = [began + number * lease / 4 for number in range(5)]
    return all(
        any(
            other != writer
            for _, other in writes[bisect(writes, (a, "")) : bisect(writes, (b, ""))]
        )
        for a, b in pairwise(quarters)
    )


def _meets(span: Span, others: Iterable[Span]) -> bool:
    # A second either way: what waited for the lock needs a moment to get it.
    return any(begin - 1 < span[1] and span[0] < end + 1 for begin, end in others)


def _task(change: Change) -> str:
    return f"{change.job_id}'s {change.stage}"


@dataclass(frozen=True)
class Recovery:
    """How long tasks of dead workers and children waited, in seconds from the death.

    Seconds in which a fault kept the database from everybody, or its disk was full, are not counted.
    Those of a child are apart: its worker tells of it at once, and nobody waits for a lease.

    Attributes:
        put_back: until a dead worker's task was queued again, in ascending order.
        workers: until it was claimed again, in ascending order.
        children: until a dead child's was, in ascending order.
        limit: the lease and 5 s.
    """

    put_back: tuple[float, ...]
    workers: tuple[float, ...]
    children: tuple[float, ...]
    limit: float

    @property
    def p99(self) -> float:
        """The longer one of workers' and children's."""
        return max(percentile(self.workers, 0.99), percentile(self.children, 0.99))

    @property
    def kept(self) -> bool:
        return self.p99 <= self.limit


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return a percentile; 0 of nothing."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending), math.ceil(share * len(ascending))) - 1]


def recoveries(
    tasks: Iterable[list[Change]], lives: Sequence[Life], shaken: Sequence[Span], lease: float
) -> Recovery:
    """Return how long it took until others had the tasks that dead workers and children held."""
    deaths: dict[str, list[float]] = {}
    for life in lives:
        ended = [] if life.ended is None else [life.ended]
        deaths[life.writer] = sorted([*life.childs, *ended])
    ends = {life.ended for life in lives}
    put_back: list[float] = []
    workers: list[float] = []
    children: list[float] = []
    for held in (held for changes in tasks for held in attempts(changes)):
        at = _death_during(held, deaths.get(held.claim.writer, []))
        if at is None or held.claimed_again_at is None:
            continue
        claimed = _counted((at, held.claimed_again_at), shaken)
        if at in ends:
            put_back.append(_counted((at, held.ended_at), shaken))
            workers.append(claimed)
        else:
            children.append(claimed)
    limit = lease + RECOVERY_SECONDS
    return Recovery(tuple(sorted(put_back)), tuple(sorted(workers)), tuple(sorted(children)), limit)


def _counted(span: Span, left_out: Sequence[Span]) -> float:
    """Return a span's seconds without those of others, which may overlap."""
    counted, reached = span[1] - span[0], span[0]
    for begin, end in sorted(left_out):
        first, last = max(begin, reached), min(end, span[1])
        if first < last:
            counted, reached = counted - (last - first), last
    return counted


def _death_during(held: Held, deaths: Iterable[float]) -> float | None:
    """Return the first death during an attempt that ended by it: its task was put back."""
    if held.end is None or held.end.new is not S.QUEUED:
        return None
    return next((at for at in deaths if held.claim.at <= at < held.ended_at), None)
