"""Runs flows: over httpx, with or without asyncio. The only file that touches the network."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from cultivar._constants import (
    CONNECT_TIMEOUT,
    POOL_TIMEOUT,
    WRITE_TIMEOUT,
    __version__,
)
from cultivar._exceptions import APIConnectionError, APITimeoutError, CultivarError
from cultivar._exchange import Body, Flow, Pause, Reply, Send, Step, Work
from cultivar._settings import Connection

T = TypeVar("T")


def _options(connection: Connection) -> dict[str, Any]:
    """Return what both httpx clients are made with."""
    return {
        "base_url": connection.base_url,
        "follow_redirects": True,  # to a presigned address; httpx drops the key on another origin
        # A proxy named in the environment cannot reach this machine's loopback.
        "trust_env": not connection.loopback,
        "headers": {
            "Authorization": f"Bearer {connection.api_key}",
            "User-Agent": f"cultivar-python/{__version__}",
            "Accept": "application/json, application/problem+json",
        },
    }


def _request(send: Send, content: Any) -> dict[str, Any]:
    headers = dict(send.headers)
    if send.body is not None:
        # With a length given, httpx does not fall back to a chunked body.
        headers["Content-Length"] = str(send.body.length)
    return {
        "method": send.method,
        "url": send.path,
        "params": dict(send.query),
        "json": send.json,
        "content": content,
        "headers": headers,
        "timeout": httpx.Timeout(
            connect=CONNECT_TIMEOUT, read=send.read_timeout, write=WRITE_TIMEOUT, pool=POOL_TIMEOUT
        ),
    }


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn httpx' exceptions into ours."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise APITimeoutError(url) from error
    except httpx.HTTPError as error:
        raise APIConnectionError(url, str(error) or type(error).__name__) from error


class SyncTransport:
    def __init__(self, connection: Connection) -> None:
        self._url = connection.base_url
        self._http = httpx.Client(**_options(connection))

    def close(self) -> None:
        self._http.close()

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return its result."""
        try:
            step = next(flow)
            while True:
                try:
                    outcome = self._perform(step)
                except CultivarError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        if isinstance(step, Work):
            return step.function()
        with _translated(self._url):
            return self._send(step)

    def _send(self, send: Send) -> Reply:
        content = send.body.chunks() if send.body is not None else None
        with self._http.stream(**_request(send, content)) as response:
            headers = _headers(response)
            if send.sink is None or not response.is_success:
                return Reply(response.status_code, headers, response.read())
            send.sink.open(response.status_code, headers)
            for chunk in response.iter_bytes():
                send.sink.write(chunk)
            return Reply(response.status_code, headers)


class AsyncTransport:
    def __init__(self, connection: Connection) -> None:
        self._url = connection.base_url
        self._http = httpx.AsyncClient(**_options(connection))

    async def close(self) -> None:
        await self._http.aclose()

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return its result; files are touched in threads."""
        try:
            step = next(flow)
            while True:
                try:
                    outcome = await self._perform(step)
                except CultivarError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Work):
            return await asyncio.to_thread(step.function)
        with _translated(self._url):
            return await self._send(step)

    async def _send(self, send: Send) -> Reply:
        content = _aiter(send.body) if send.body is not None else None
        async with self._http.stream(**_request(send, content)) as response:
            headers = _headers(response)
            if send.sink is None or not response.is_success:
                return Reply(response.status_code, headers, await response.aread())
            await asyncio.to_thread(send.sink.open, response.status_code, headers)
            async for chunk in response.aiter_bytes():
                await asyncio.to_thread(send.sink.write, chunk)
            return Reply(response.status_code, headers)


async def _aiter(body: Body) -> AsyncIterator[bytes]:
    """Read a body's chunks in a thread, one at a time."""
    chunks = body.chunks()
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk
