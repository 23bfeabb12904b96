"""The one place where the API is wired. Importing it connects to nothing.

Run it by itself with ``uvicorn app.main:create_app --factory``; `python -m app` does it all.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from app.api import (
    artifacts,
    datasets,
    events,
    health,
    jobs,
    keys,
    methods,
    openapi,
    problems,
    reference,
    reviews,
    uploads,
)
from app.api.authentication import Authenticator
from app.api.context import Services
from app.api.edge import Edge
from app.api.metrics import Metrics
from app.api.sweeping import sweep_forever
from app.api.trained import model_routes
from app.queue import Bell
from app.reconcile import Reconciler
from app.settings import Settings
from app.store.blobs import BlobStore, open_blobs
from app.store.database import Store
from app.version import VERSION


def create_app(
    settings: Settings | None = None,
    *,
    store: Store | None = None,
    blobs: BlobStore | None = None,
    bell: Bell | None = None,
) -> FastAPI:
    """Return the API.

    Args:
        settings: by default read from `CULTIVAR_*`.
        store: a migrated one; by default the one of the settings, migrated when the app starts.
        blobs: by default those of the settings.
        bell: by default the one of the settings; without a Redis it rings nobody.
    """
    settings = settings or Settings()
    records, wakes = store or Store(settings.database), bell or Bell(settings.redis_url)
    services = Services(
        settings=settings,
        store=records,
        blobs=blobs or open_blobs(settings.blobs, settings.home),
        bell=wakes,
        authenticator=Authenticator(records),
        metrics=Metrics(records, wakes),
    )

    app = FastAPI(
        title="Cultivar",
        version=VERSION,
        lifespan=_lifespan(services, owns_store=store is None),
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere; see app.api.reference
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    routers = _routers()
    problems.install(app, routers)
    app.add_middleware(Edge, allowed_hosts=settings.allowed_hosts, metrics=services.metrics)
    for router in routers:
        app.include_router(router)
    openapi.install(app, routers)
    return app


def _operation_id(route: APIRoute) -> str:
    """Return the function's name: stable, and fit for the methods of a generated client."""
    return route.name


def _routers() -> tuple[APIRouter, ...]:
    return (
        uploads.router,
        datasets.router,
        jobs.router,
        events.router,
        artifacts.router,
        reviews.router,
        model_routes("generator", lambda tx: tx.generators),
        model_routes("classifier", lambda tx: tx.classifiers),
        methods.router,
        keys.router,
        health.router,
        reference.router,
    )


def _lifespan(
    services: Services, *, owns_store: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return what runs beside the requests: putting back what was lost, sweeping staged parts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if owns_store:
            await asyncio.to_thread(services.store.migrate)
        stop = threading.Event()
        reconciler = Reconciler(services.store, services.bell, services.settings, services.blobs)
        reconciling = threading.Thread(
            target=reconciler.run_forever, args=(stop,), name="reconciler", daemon=True
        )
        reconciling.start()
        sweeping = asyncio.create_task(sweep_forever(services))
        yield
        stop.set()
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await asyncio.to_thread(reconciling.join)
        if owns_store:
            services.store.close()

    return lifespan
