"""`Prefer: wait=N` (RFC 7240): the answer is held until a job ends or waits for a person, without holding a thread."""

import asyncio
import re
import time

from starlette.concurrency import run_in_threadpool

from app.api.context import Caller
from app.domain.jobs import TERMINAL, Job, JobState
from app.domain.problems import NotFound

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:$|[,;])", re.IGNORECASE)
_LONGEST_WAIT = 60
_SETTLED = TERMINAL | {JobState.AWAITING_REVIEW}  # time alone changes nothing more
_FIRST_LOOK = 0.05
_LONGEST_LOOK = 0.5


def preferred_wait(header: str | None) -> int | None:
    """Return the seconds to wait; None where none are asked for. What is not understood is ignored."""
    found = _WAIT.search(header or "")
    return min(int(found[1]), _LONGEST_WAIT) if found else None


async def ended(caller: Caller, job_id: str, seconds: float) -> Job:
    """Return the job when it has ended or waits for a person, or as it is after ``seconds``."""
    until = time.monotonic() + seconds
    pause = _FIRST_LOOK
    while True:
        job = await run_in_threadpool(_look, caller, job_id)
        left = until - time.monotonic()
        if job.state in _SETTLED or left <= 0:
            return job
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_LOOK)


def _look(caller: Caller, job_id: str) -> Job:
    with caller.store.read() as tx:
        job = tx.jobs.get(caller.tenant_id, job_id)
    if job is None:
        raise NotFound("job")
    return job
