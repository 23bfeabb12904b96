"""`/v1/keys`: what a tenant's clients sign in with."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from app.api.callers import KeyReader, KeyWriter
from app.api.idempotency import Answer, IdempotencyKey, once
from app.api.openapi import problems
from app.api.route import ApiRoute
from app.api.schemas.base import Page
from app.api.schemas.key import KeyRequest, KeyView, NewKeyView
from app.domain.problems import Forbidden, Invalid, NotFound

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=ApiRoute)


@router.post("", status_code=201, response_model=NewKeyView, responses=problems(409, 413, 415))
def create_key(
    body: KeyRequest, caller: KeyWriter, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a key; its secret is shown in this answer and never again."""
    beyond = set(body.scopes) - caller.principal.scopes
    if beyond:
        raise Forbidden(
            f"A key cannot give what it lacks: {', '.join(sorted(beyond))}.", param="scopes"
        )
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        raise Invalid("This moment has passed.", param="expires_at")
    with caller.store.write() as tx:

        def make() -> Answer:
            key, secret = tx.keys.create(
                caller.tenant_id, body.name, frozenset(body.scopes), body.expires_at
            )
            shown = KeyView.model_validate(key).model_dump()
            return Answer(
                201,
                NewKeyView(**shown, secret=secret).model_dump_json(),
                {"Location": f"/v1/keys/{key.id}"},
                replay=NewKeyView(**shown, secret=None).model_dump_json(),
            )

        answer = once(tx, caller, idempotency_key, body, make)
    return answer.response()


@router.get("")
def list_keys(caller: KeyReader) -> Page[KeyView]:
    """List the tenant's keys, without their secrets."""
    with caller.store.read() as tx:
        keys = tx.keys.list(caller.tenant_id)
    return Page[KeyView](data=[KeyView.model_validate(key) for key in keys])


@router.delete("/{key_id}", status_code=204, responses=problems(404))
def revoke_key(key_id: str, caller: KeyWriter) -> Response:
    """Revoke a key: from now on it is refused."""
    with caller.store.write() as tx:
        if not tx.keys.revoke(caller.tenant_id, key_id):
            raise NotFound("key")
    return Response(status_code=204)
