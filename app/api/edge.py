"""The outermost layer: request id, Host check, the last word on what nobody handled, figures."""

import logging
import re
import time
from collections.abc import MutableMapping
from typing import Any, cast
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.metrics import Metrics
from app.api.problems import answer
from app.domain.problems import BadRequest, InternalError, NotFound, Problem

log = logging.getLogger("cultivar.api")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_CLIENT_GONE = 499  # what nginx logs for it; nobody is there to read an answer


class Edge:
    """ASGI middleware around the whole application; passes bodies through untouched."""

    def __init__(self, app: ASGIApp, allowed_hosts: str, metrics: Metrics) -> None:
        self._app = app
        self._hosts = {host.strip().lower() for host in allowed_hosts.split(",") if host.strip()}
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        try:
            self._check_host(exchange.headers)
            _check_path(scope["path"])
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.status = _CLIENT_GONE
        except Problem as problem:
            await exchange.fail(problem, receive)
        except Exception:
            log.exception("unhandled error, request %s", exchange.request_id)
            await exchange.fail(InternalError(), receive)
        finally:
            self._report(scope, exchange)

    def _check_host(self, headers: Headers) -> None:
        """Refuse names that are not ours: a page elsewhere may have rebound its own to loopback."""
        if "*" in self._hosts:
            return
        host = headers.get("host", "").lower()
        name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        if name not in self._hosts:
            raise BadRequest("The Host header names no host of this service.", code="invalid_host")

    def _report(self, scope: Scope, exchange: "_Exchange") -> None:
        seconds = time.perf_counter() - exchange.began
        # The route's template, so that ids do not become labels.
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.observe(scope["method"], route, exchange.status, seconds)
        log.info(
            "%s %s %d %.0f ms %s",
            scope["method"],
            route,
            exchange.status,
            seconds * 1000,
            exchange.request_id,
        )


def _check_path(path: str) -> None:
    """Keep from the store what no id has, and what PostgreSQL cannot take."""
    if "\0" in path:
        raise NotFound("route")


class _Exchange:
    """One request and what has been answered so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.began = time.perf_counter()
        self.headers = Headers(scope=scope)
        self.status = 500
        self._scope = scope
        self._send = send
        self._started = False
        given = self.headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else f"req_{uuid4().hex}"
        state = cast("MutableMapping[str, Any]", scope.setdefault("state", {}))
        state["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)

    async def fail(self, problem: Problem, receive: Receive) -> None:
        """Answer with the problem; a body that has begun can only be broken off."""
        if self._started:
            raise ConnectionAbortedError("the answer broke off")
        await answer(problem, self.request_id)(self._scope, receive, self.send)
