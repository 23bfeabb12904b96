"""The same key and body give the same answer; the effect and its record are one transaction."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Response
from pydantic import BaseModel

from app.api.context import Caller
from app.domain.problems import BadRequest, Conflict, Invalid
from app.store.database import Transaction

_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST is answered with.

    Attributes:
        replay: the body for a repeat, where it must differ: a secret is shown once.
        fresh: False where this is a repeat, and nothing has been done now.
    """

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    replay: str | None = None
    fresh: bool = True

    def response(self) -> Response:
        return Response(self.body, self.status, self.headers, "application/json")


def once(
    tx: Transaction, caller: Caller, payload: BaseModel | None, make: Callable[[], Answer]
) -> Answer:
    """Return ``make()``'s answer, or the first one if this key has made it before.

    Everything happens in ``tx``: there is no moment in which the thing exists and the key does not.

    Raises:
        Invalid: the key came with another request before.
        Conflict: the first request with this key is still under way.
    """
    key = caller.idempotency_key
    if key is None:
        return make()
    if not 0 < len(key) <= _LONGEST or not key.isascii() or not key.isprintable():
        raise BadRequest(
            f"Idempotency-Key must be 1 to {_LONGEST} printable ASCII characters.",
            param="Idempotency-Key",
        )
    match tx.idempotency.begin(caller.tenant_id, key, _fingerprint(caller, payload)):
        case ("replay", int(status), headers, str(body)):
            replayed = {**headers, "Idempotency-Replayed": "true"}
            return Answer(status, body, replayed, fresh=False)
        case ("reused", *_):
            raise Invalid(
                "This Idempotency-Key came with another request before.",
                code="idempotency_key_reused",
                param="Idempotency-Key",
            )
        case ("in_flight", *_):
            raise Conflict(
                "The first request with this Idempotency-Key is still under way.",
                code="idempotency_key_in_flight",
                param="Idempotency-Key",
                retryable=True,
                headers={"Retry-After": "1"},
            )
    made = make()
    body = made.body if made.replay is None else made.replay
    tx.idempotency.finish(caller.tenant_id, key, made.status, made.headers, body)
    return made


def _fingerprint(caller: Caller, payload: BaseModel | None) -> str:
    content = payload.model_dump(mode="json") if payload is not None else None
    canonical = json.dumps([caller.path, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
