"""Health and figures; the only routes without a key."""

import logging
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.api.context import Services, services
from app.api.metrics import CONTENT_TYPE
from app.api.openapi import content, problems
from app.api.problems import ProblemResponse
from app.api.schemas.health import Alive, Ready
from app.domain.problems import OutOfSpace, Unavailable

log = logging.getLogger("cultivar.api")

router = APIRouter(tags=["health"])


@router.get("/healthz")
def get_health() -> Alive:
    """Tell that the process is alive."""
    return Alive()


@router.get("/readyz", response_model=Ready, responses=problems(503))
def get_readiness(request: Request) -> Response:
    """Tell whether store, blobs and queue answer.

    Without the queue the service is degraded: it takes jobs, and workers find them more slowly.
    """
    wired = services(request)
    checks = {
        "store": _check("store", wired.store.ping),
        "blobs": _check("blobs", wired.blobs.ping),
        "queue": "ok" if wired.bell.ping() else "unreachable",
    }
    if all(state == "ok" for state in checks.values()):
        return JSONResponse(Ready(checks=checks).model_dump())
    problem = _problem(checks)
    body = problem.body(request.state.request_id) | {"checks": checks}
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


def _problem(checks: dict[str, str]) -> Unavailable:
    silent = [name for name, state in checks.items() if state != "ok"]
    if silent == ["queue"]:
        return Unavailable(
            "The queue does not answer; jobs are taken and start more slowly.", code="degraded"
        )
    return Unavailable(f"No answer from: {', '.join(silent)}.")
