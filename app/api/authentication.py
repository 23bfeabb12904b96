"""From an `Authorization` header to a principal."""

import re

from app.domain.problems import Unauthenticated
from app.domain.records import Principal
from app.store.database import Store

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="cultivar"'}
_SECRET = re.compile(r"[A-Za-z0-9_]{4,200}")


class Authenticator:
    """Looks keys up in the store; a revoked key stops at once, so nothing is cached."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def principal(self, header: str | None) -> Principal:
        """Return who the header's key speaks for.

        Raises:
            Unauthenticated: there is no key, or it is unknown, revoked or expired.
        """
        scheme, _, secret = (header or "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise Unauthenticated(
                "A key is needed: Authorization: Bearer cv_…",
                code="missing_key",
                headers=_CHALLENGE,
            )
        principal = self._find(secret) if _SECRET.fullmatch(secret) else None
        if principal is None:
            raise Unauthenticated(
                "The key is unknown, revoked or expired.", code="invalid_key", headers=_CHALLENGE
            )
        return principal

    def _find(self, secret: str) -> Principal | None:
        with self._store.read() as tx:
            return tx.keys.authenticate(secret)
