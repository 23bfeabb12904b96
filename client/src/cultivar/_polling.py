"""Waiting for a job: quick looks at first, then slower ones, by `ETag`, through short outages."""

import time
from collections.abc import Callable

from cultivar._constants import FIRST_POLL, LONGEST_OUTAGE, LONGEST_POLL, POLL_FACTOR
from cultivar._exceptions import APIError, WaitTimeout
from cultivar._exchange import Flow, Pause, Reply, Send, exchange
from cultivar._progress import watching
from cultivar._records import AWAITING_REVIEW, UNFINISHED, JobRecord

NOT_MODIFIED = 304


def wait(job_id: str, timeout: float | None, show: bool, until_ended: bool) -> Flow[JobRecord]:
    """Poll with what a person sees of it."""
    with watching(show) as on_change:
        return (yield from poll(job_id, on_change, timeout, until_ended))


def poll(
    job_id: str,
    on_change: Callable[[JobRecord], None],
    timeout: float | None = None,
    until_ended: bool = False,
) -> Flow[JobRecord]:
    """Look at a job until it has ended or waits for a person, and return it.

    Args:
        job_id: the job.
        on_change: hears of every new version of the job.
        timeout: seconds after which to give up; the job itself goes on.
        until_ended: whether to go on looking while it waits for a person.

    Raises:
        WaitTimeout: it did not end in that time.
        APIError: the service refused, or was silent for `LONGEST_OUTAGE` seconds.
    """
    started = last_answer = time.monotonic()
    etag: str | None = None
    interval = FIRST_POLL
    while True:
        headers = {"If-None-Match": etag} if etag else {}
        try:
            reply: Reply = yield from exchange(Send("GET", f"/v1/jobs/{job_id}", headers=headers))
        except APIError as error:
            # A deploy or a lost network ends no wait: the job goes on without us.
            if not error.retryable or time.monotonic() - last_answer > LONGEST_OUTAGE:
                raise
        else:
            last_answer = time.monotonic()
            interval = min(LONGEST_POLL, interval * POLL_FACTOR)
            if reply.status != NOT_MODIFIED:
                interval = max(FIRST_POLL, interval / POLL_FACTOR**2)
                etag = reply.headers.get("etag")
                job = JobRecord.model_validate(reply.json())
                on_change(job)
                waits = job.state == AWAITING_REVIEW and not until_ended
                if waits or job.state not in UNFINISHED:
                    return job
        left = float("inf") if timeout is None else started + timeout - time.monotonic()
        if left <= 0:
            raise WaitTimeout(job_id, timeout or 0)
        yield Pause(min(interval, left))
