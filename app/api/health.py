"""Health and figures; the only routes without a key."""

import logging
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.api.context import Services, services
from app.api.metrics import CONTENT_TYPE
from app.api.openapi import content, problems
from app.api.problems import ProblemResponse
from app.api.schemas.health import Alive, Ready
from app.domain.problems import OutOfSpace, Unavailable
from app.queue import CLASSES
from app.store.database import Store

log = logging.getLogger("cultivar.api")

router = APIRouter(tags=["health"])


@router.get("/healthz")
def get_health() -> Alive:
    """Tell that the process is alive."""
    return Alive()


@router.get("/readyz", response_model=Ready, responses=problems(503))
def get_readiness(request: Request) -> Response:
    """Tell whether store, blobs and queue answer, and which classes of tasks live workers serve.

    Without the queue the service is degraded: it takes jobs, and workers find them more slowly. A class
    that nobody serves is named, and leaves the service ready: workers may come and go.
    """
    wired = services(request)
    served = _served(wired.store)
    checks = {
        "store": "ok" if served is not None else "unreachable",
        "blobs": _check("blobs", wired.blobs.ping),
        "queue": "ok" if wired.bell.ping() else "unreachable",
    }
    problem = _problem(checks)
    told = {"checks": checks | {"workers": "unknown"}} if served is None else _told(checks, served)
    if problem is None:
        return JSONResponse(Ready.model_validate(told).model_dump())
    body = problem.body(request.state.request_id) | told
    return ProblemResponse(body, problem.status, {"Retry-After": "2"})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: content({"text/plain": {"type": "string"}}, "Prometheus' text format.")},
)
def get_metrics(request: Request) -> Response:
    """Show figures for Prometheus."""
    wired: Services = services(request)
    return Response(wired.metrics.exposition(), media_type=CONTENT_TYPE)


def _check(name: str, ping: Callable[[], object]) -> str:
    try:
        ping()
    except (Unavailable, OutOfSpace, OSError) as error:
        log.warning("%s does not answer: %s", name, error)
        return "unreachable"
    return "ok"


def _served(store: Store) -> set[str] | None:
    """Return the classes that live workers serve; None where the store does not answer."""
    try:
        with store.read() as tx:
            return tx.workers.served()
    except (Unavailable, OutOfSpace) as error:
        log.warning("store does not answer: %s", error)
        return None


def _told(checks: dict[str, str], served: set[str]) -> dict[str, Any]:
    unserved = sorted(set(CLASSES) - served)
    workers = f"no worker serves {', '.join(unserved)}" if unserved else "ok"
    return {
        "checks": checks | {"workers": workers},
        "served": sorted(served),
        "unserved": unserved,
    }


def _problem(checks: dict[str, str]) -> Unavailable | None:
    silent = [name for name, state in checks.items() if state != "ok"]
    if not silent:
        return None
    if silent == ["queue"]:
        return Unavailable(
            "The queue does not answer; jobs are taken and start more slowly.", code="degraded"
        )
    return Unavailable(f"No answer from: {', '.join(silent)}.")
