"""Keys of a tenant."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer

from app.api.schemas.base import Body, Moment, View
from app.domain.records import ALL_SCOPES


def _known(scope: str) -> str:
    if scope not in ALL_SCOPES:
        raise ValueError(f"is none of {', '.join(sorted(ALL_SCOPES))}")
    return scope


Scope = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(ALL_SCOPES)})
]
Scopes = Annotated[frozenset[str], PlainSerializer(sorted, return_type=list[str])]


class KeyRequest(Body):
    """Make a key."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """For people."""

    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=32)]
    """What it may do; not more than the key that makes it."""

    expires_at: Moment | None = None
    """When it stops working; by default never."""


class KeyView(View):
    """A key without its secret."""

    id: str
    name: str
    prefix: str
    """The first characters of the secret, to tell keys apart."""

    scopes: Scopes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""


class NewKeyView(KeyView):
    """A key with its secret, which is shown this once."""

    secret: str | None
    """Null where an `Idempotency-Key` replays the answer."""
