"""The same key and body give the same answer; the effect and its record are one transaction."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Header, Response
from pydantic import BaseModel

from app.api.context import Caller
from app.domain.problems import Conflict, Invalid
from app.store.database import Transaction

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="The same key and body give the same answer for 24 hours.",
    ),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST is answered with.

    Attributes:
        replay: the body for a repeat, where it must differ: a secret is shown once.
    """

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    replay: str | None = None

    def response(self) -> Response:
        return Response(self.body, self.status, self.headers, "application/json")


def once(
    tx: Transaction,
    caller: Caller,
    key: str | None,
    payload: BaseModel | None,
    make: Callable[[], Answer],
) -> Answer:
    """Return ``make()``'s answer, or the first one if this key has made it before.

    Everything happens in ``tx``: there is no moment in which the thing exists and the key does not.

    Raises:
        Invalid: the key came with another request before.
        Conflict: the first request with this key is still under way.
    """
    if key is None:
        return make()
    match tx.idempotency.begin(caller.tenant_id, key, _fingerprint(caller, payload)):
        case ("replay", status, headers, body):
            return Answer(status, body.decode(), headers | {"Idempotency-Replayed": "true"})
        case ("reused",):
            raise Invalid(
                "This Idempotency-Key came with another request before.",
                code="idempotency_key_reused",
                param="Idempotency-Key",
            )
        case ("in_flight",):
            raise Conflict(
                "The first request with this Idempotency-Key is still under way.",
                code="idempotency_key_in_flight",
                param="Idempotency-Key",
                retryable=True,
                headers={"Retry-After": "1"},
            )
    made = make()
    kept = made.body if made.replay is None else made.replay
    tx.idempotency.finish(caller.tenant_id, key, made.status, made.headers, kept.encode())
    return made


def _fingerprint(caller: Caller, payload: BaseModel | None) -> str:
    content = payload.model_dump(mode="json") if payload is not None else None
    canonical = json.dumps([caller.path, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
