"""`/v1/jobs/{id}/events`: what happened, as a page or as a stream of server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from app.api.callers import JobReader
from app.api.context import Caller
from app.api.jobs import find_job
from app.api.openapi import Responses, content, problems
from app.api.route import ApiRoute
from app.api.schemas.base import Page
from app.api.schemas.job import EventView
from app.domain.jobs import TERMINAL
from app.domain.problems import Invalid, NotFound
from app.domain.records import Event

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=ApiRoute)

HEARTBEAT_SECONDS = 15.0
_LOOK_SECONDS = 0.5
_BATCH = 100
_LARGEST_SEQ = (1 << 63) - 1
_STREAM = "text/event-stream"
_RESPONSES: Responses = {
    200: content(
        {
            "application/json": {"$ref": "#/components/schemas/Page_EventView_"},
            _STREAM: {
                "description": "Each event's `data` is an `EventView`, its `id` that one's `seq`."
            },
        },
        "A page, or with `Accept: text/event-stream` a stream that ends with the job.",
    ),
    204: {"description": "The stream asked for has nothing more to come."},
}


@router.get(
    "/{job_id}/events", response_model=Page[EventView], responses=_RESPONSES | problems(404)
)
async def list_job_events(
    job_id: str,
    caller: JobReader,
    *,
    after: Annotated[int, Query(ge=0, le=_LARGEST_SEQ, description="The last `seq` seen.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Events a page.")] = _BATCH,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
    last_event_id: Annotated[str | None, Header(description="Resumes a stream.")] = None,
) -> Response:
    """List a job's events, oldest first, or follow them as server-sent events."""
    job = await run_in_threadpool(find_job, caller, job_id)
    if _STREAM not in accept.lower():
        events, has_more = await run_in_threadpool(_page, caller, job_id, after, limit)
        return Response(_json_page(events, has_more), media_type="application/json")
    if last_event_id is not None:
        after = _sequence(last_event_id)
        first, _ = await run_in_threadpool(_page, caller, job_id, after, 1)
        if job.state in TERMINAL and not first:
            return Response(status_code=204)  # tells an EventSource not to come again
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_follow(caller, job_id, after), 200, headers, _STREAM)


async def _follow(caller: Caller, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Yield events as they are stored, and a comment where nothing has happened for long."""
    last_sent = time.monotonic()
    while True:
        # The state first: an event stored after a look at the state is found by the next look.
        try:
            job = await run_in_threadpool(find_job, caller, job_id)
        except NotFound:  # deleted meanwhile; whoever comes again is told so
            return
        events, has_more = await run_in_threadpool(_page, caller, job_id, after, _BATCH)
        for event in events:
            after = event.seq
            yield _frame(event)
        if events:
            last_sent = time.monotonic()
        if has_more:
            continue
        if job.state in TERMINAL:
            return
        if time.monotonic() - last_sent >= HEARTBEAT_SECONDS:
            yield b": heartbeat\n\n"
            last_sent = time.monotonic()
        await asyncio.sleep(_LOOK_SECONDS)


def _page(caller: Caller, job_id: str, after: int, limit: int) -> tuple[list[Event], bool]:
    with caller.store.read() as tx:
        return tx.events.page(caller.tenant_id, job_id, after, limit)


def _json_page(events: list[Event], has_more: bool) -> str:
    rows = [EventView.model_validate(event) for event in events]
    following = str(events[-1].seq) if events and has_more else None
    return Page[EventView](data=rows, has_more=has_more, next_after=following).model_dump_json()


def _frame(event: Event) -> bytes:
    # JSON escapes line breaks, so that one event is one `data:` line.
    data = EventView.model_validate(event).model_dump_json()
    return f"id: {event.seq}\nevent: {event.type}\ndata: {data}\n\n".encode()


def _sequence(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:20]) > _LARGEST_SEQ:
        raise Invalid("The `seq` of an event is expected.", param="Last-Event-ID")
    return int(text[:20])
