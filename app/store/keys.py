"""API keys: shown once, kept as salted hashes."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, bindparam, insert, or_, select, update

from app.domain.ids import new_id
from app.domain.records import Key, Principal
from app.store.tables import keys
from app.store.work import Work

_PREFIX_CHARACTERS = (
    15  # "cv_" and 48 bits: enough to find the row by, no help in guessing the rest
)
_USE_RESOLUTION = timedelta(minutes=1)


_OF_PREFIX = select(keys).where(keys.c.prefix == bindparam("prefix"))


class Keys:
    def __init__(self, work: Work) -> None:
        self._work = work

    def create(
        self,
        tenant_id: str,
        name: str,
        scopes: Collection[str],
        expires_at: datetime | None = None,
    ) -> tuple[Key, str]:
        """Make a key and return it with its secret, which nothing can show again."""
        # 256 random bits need no slow hash; the salt keeps equal secrets from being seen as equal.
        secret = f"cv_{secrets.token_hex(32)}"
        salt = secrets.token_bytes(16)
        key = Key(
            id=new_id("key"),
            tenant_id=tenant_id,
            name=name,
            prefix=secret[:_PREFIX_CHARACTERS],
            scopes=frozenset(scopes),
            created_at=self._work.now(),
            expires_at=expires_at,
        )
        self._work.run(
            insert(keys).values(
                id=key.id,
                tenant_id=tenant_id,
                name=name,
                prefix=key.prefix,
                salt=salt,
                digest=_digest(salt, secret),
                scopes=sorted(key.scopes),
                created_at=key.created_at,
                expires_at=expires_at,
            )
        )
        return key, secret

    def authenticate(self, secret: str) -> Principal | None:
        """Return whom a secret speaks for; None if it is unknown, revoked or expired."""
        row = self._work.row(_OF_PREFIX, prefix=secret[:_PREFIX_CHARACTERS])
        # An unknown prefix costs the same hash and comparison as a known one.
        salt, digest = (row["salt"], row["digest"]) if row else (b"\0" * 16, b"\0" * 32)
        matches = hmac.compare_digest(_digest(salt, secret), digest)
        if row is None or not matches or row["revoked_at"] is not None:
            return None
        now = self._work.now()
        if row["expires_at"] is not None and row["expires_at"] <= now:
            return None
        if row["last_used_at"] is None or row["last_used_at"] < now - _USE_RESOLUTION:
            self._touch(row["id"], now)
        return Principal(row["tenant_id"], row["id"], frozenset(row["scopes"]))

    def list(self, tenant_id: str) -> list[Key]:
        """Return a tenant's keys, newest first, revoked ones included."""
        found = select(keys).where(keys.c.tenant_id == tenant_id).order_by(keys.c.id.desc())
        return [_key(row) for row in self._work.rows(found)]

    def revoke(self, tenant_id: str, key_id: str) -> bool:
        """Revoke a key; False if the tenant has none of this id. Again is True."""
        mine = (keys.c.tenant_id == tenant_id) & (keys.c.id == key_id)
        revoked = update(keys).where(mine, keys.c.revoked_at.is_(None))
        if self._work.run(revoked.values(revoked_at=self._work.now())):
            return True
        return self._work.row(select(keys.c.id).where(mine)) is not None

    def _touch(self, key_id: str, now: datetime) -> None:
        stale = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < now - _USE_RESOLUTION)
        use = update(keys).where(keys.c.id == key_id, stale).values(last_used_at=now)
        if self._work.writable:
            self._work.run(use)
        else:  # a read must not become a write in its middle
            self._work.afterwards.append(lambda later: later.run(use))


def _digest(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode(errors="replace")).digest()


def _key(row: RowMapping) -> Key:
    return Key(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        prefix=row["prefix"],
        scopes=frozenset(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
