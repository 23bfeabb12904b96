"""What the client does, without doing it: flows that yield steps, for any way of running them.

A flow is a generator. It yields a step (send this, pause, run this function), is given the
step's outcome back, and returns its result. `_transport` runs flows with or without asyncio;
so retries, resumption and polling are written once.
"""

import json
import random
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

from cultivar._constants import (
    FIRST_RETRY,
    LONGEST_RETRY,
    LONGEST_RETRY_AFTER,
    MAX_RETRIES,
    READ_TIMEOUT,
    RETRY_FACTOR,
    RETRY_STATUSES,
)
from cultivar._exceptions import APIError, APIStatusError, status_error

T = TypeVar("T")
Query = Mapping[str, str | int]

_random = random.SystemRandom()


class Body(Protocol):
    """Bytes that can be sent again from their start."""

    @property
    def length(self) -> int: ...

    def chunks(self) -> Iterator[bytes]: ...


class Sink(Protocol):
    """Where a download's bytes go; told of the answer before the first of them."""

    def open(self, status: int, headers: Mapping[str, str]) -> None: ...

    def write(self, chunk: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Send:
    """One HTTP request; with a sink, a successful answer's body goes there.

    Attributes:
        read_timeout: seconds of silence after which the answer is given up.
    """

    method: str
    path: str
    query: Query = field(default_factory=dict)
    json: Any = None
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sink: Sink | None = None
    read_timeout: float = READ_TIMEOUT


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Run a function that blocks: hashing, reading or writing files."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `headers` have lower-case names, `content` is empty where a sink took it."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""

    def json(self) -> Any:
        return json.loads(self.content)


Step = Send | Pause | Work
Flow = Generator[Step, Any, T]


def new_key() -> dict[str, str]:
    """Return a fresh `Idempotency-Key` header; a retry sends the same one."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def exchange(request: Send | Callable[[], Send]) -> Flow[Reply]:
    """Send, retry what may be retried, and return the answer (2xx, 3xx).

    A function is asked for each try anew, so that a download can go on where it broke off.

    Raises:
        APIConnectionError: no answer came, also not to the last retry.
        APIStatusError: the service answered with a problem.
    """
    for attempt in range(MAX_RETRIES + 1):
        try:
            reply: Reply = yield request() if callable(request) else request
            if reply.status < 400:
                return reply
            raise problem(reply)
        except APIError as error:
            seconds = pause_before(attempt, error)
            if not error.retryable or attempt == MAX_RETRIES or seconds is None:
                raise
        yield Pause(seconds)
    raise AssertionError("the last attempt returns or raises")


def problem(reply: Reply) -> APIStatusError:
    """Return the typed error of an answer; a proxy's HTML page makes one too."""
    try:
        body = reply.json()
    except ValueError:
        body = None
    error = status_error(
        reply.status, body if isinstance(body, dict) else {}, reply.headers.get("x-request-id")
    )
    error.retry_after = retry_after(reply.headers)
    error.retryable = error.retryable or reply.status in RETRY_STATUSES
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, from either of its forms (RFC 9110)."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def pause_before(attempt: int, error: APIError) -> float | None:
    """Return how long to wait before the retry after `attempt`; None where that is too long.

    Full jitter over the upper half: many clients that failed together do not return together.
    """
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    longest = min(LONGEST_RETRY, FIRST_RETRY * RETRY_FACTOR**attempt)
    jittered = longest * _random.uniform(0.5, 1.0)
    if asked is None:
        return jittered
    return asked + jittered * 0.1 if asked <= LONGEST_RETRY_AFTER else None


def pages(send: Send, after: str | None = None) -> Generator[Step, Any, list[dict[str, Any]]]:
    """Return all rows of a list route, page after page; for lists known to be short."""
    rows: list[dict[str, Any]] = []
    while True:
        page, after = yield from one_page(send, after)
        rows.extend(page)
        if after is None:
            return rows


def one_page(send: Send, after: str | None) -> Flow[tuple[list[dict[str, Any]], str | None]]:
    """Return one page of a list route and the cursor of the next, None after the last."""
    query = {**send.query, **({"after": after} if after is not None else {})}
    reply: Reply = yield from exchange(replace(send, query=query))
    page = reply.json()
    rows: list[dict[str, Any]] = page["data"]
    return rows, page["next_after"] if page["has_more"] else None
