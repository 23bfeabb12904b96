"""What every route works with: the wired services, and who the request speaks for."""

from dataclasses import dataclass
from typing import cast

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.authentication import Authenticator
from app.api.metrics import Metrics
from app.domain.problems import Forbidden
from app.domain.records import Principal
from app.queue import Bell
from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.database import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Built once, by `app.main.create_app`."""

    settings: Settings
    store: Store
    blobs: BlobStore
    bell: Bell
    authenticator: Authenticator
    metrics: Metrics


def services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated request.

    Attributes:
        path: method and path, part of an idempotency key's fingerprint.
    """

    services: Services
    principal: Principal
    path: str

    @property
    def tenant_id(self) -> str:
        return self.principal.tenant_id

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the key has the scope."""
        if scope not in self.principal.scopes:
            raise Forbidden(f"This key lacks the scope {scope}.", param=scope)

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def blobs(self) -> BlobStore:
        return self.services.blobs


async def authenticate(request: Request) -> None:
    """Keep the request's principal in its state.

    Raises:
        Unauthenticated: no key, or one that is unknown, revoked or expired.
    """
    authenticator = services(request).authenticator
    header = request.headers.get("authorization")
    request.state.principal = await run_in_threadpool(authenticator.principal, header)


class Scoped:
    """A dependency: the caller, if its key has the scope."""

    def __init__(self, scope: str | None) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:
        principal = cast("Principal", request.state.principal)
        caller = Caller(
            services=services(request),
            principal=principal,
            path=f"{request.method} {request.url.path}",
        )
        if self.scope is not None:
            caller.require(self.scope)
        return caller
