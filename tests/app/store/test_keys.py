"""API keys: whom a secret speaks for, and when it no longer does."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.domain.problems import Conflict, NotFound
from app.domain.records import ALL_SCOPES, Principal
from app.store.database import Store
from app.store.tables import keys


@pytest.fixture
def secret(store: Store, tenant: str) -> str:
    with store.write() as tx:
        return tx.keys.create(tenant, "laptop", {"jobs:read"})[1]


def test_a_secret_speaks_for_its_tenant_with_its_scopes(
    store: Store, tenant: str, secret: str
) -> None:
    with store.read() as tx:
        key = tx.keys.list(tenant)[0]
        found = tx.keys.authenticate(secret)
    assert found == Principal(tenant, key.id, frozenset({"jobs:read"}))
    assert secret.startswith("cv_")
    assert secret.startswith(key.prefix)
    assert len(key.prefix) < len(secret) / 3


def test_the_secret_itself_is_kept_nowhere(store: Store, secret: str) -> None:
    with store.read() as tx:
        row = tx.row(select(keys))
    assert row is not None
    assert not any(secret in str(value) for value in row.values())


@pytest.mark.parametrize("change", ["last", "first", "empty", "surrogate"])
def test_another_secret_speaks_for_nobody(store: Store, secret: str, change: str) -> None:
    other = {
        "last": secret[:-1] + ("0" if secret[-1] != "0" else "1"),
        "first": "cv_" + "0" * 64,
        "empty": "",
        "surrogate": secret + "\udc80",
    }[change]
    with store.read() as tx:
        assert tx.keys.authenticate(other) is None


def test_a_revoked_secret_speaks_for_nobody(store: Store, tenant: str, secret: str) -> None:
    with store.write() as tx:
        key = tx.keys.list(tenant)[0]
        assert tx.keys.revoke(tenant, key.id)
        assert tx.keys.revoke(tenant, key.id)
        assert tx.keys.authenticate(secret) is None
        assert tx.keys.list(tenant)[0].revoked_at is not None


def test_a_key_is_revoked_by_its_own_tenant_only(store: Store, tenant: str, secret: str) -> None:
    with store.write() as tx:
        other = tx.tenants.create("other").id
        assert not tx.keys.revoke(other, tx.keys.list(tenant)[0].id)
        assert tx.keys.authenticate(secret)


def test_an_expired_secret_speaks_for_nobody(store: Store, tenant: str) -> None:
    with store.write() as tx:
        soon = tx.now() + timedelta(minutes=1)
        past = tx.now() - timedelta(seconds=1)
        valid = tx.keys.create(tenant, "valid", ALL_SCOPES, expires_at=soon)[1]
        over = tx.keys.create(tenant, "over", ALL_SCOPES, expires_at=past)[1]
        assert tx.keys.authenticate(valid)
        assert tx.keys.authenticate(over) is None


@pytest.mark.parametrize("how", ["read", "write"])
def test_last_use_is_noted_at_most_once_a_minute(
    store: Store, tenant: str, secret: str, how: str
) -> None:
    def use() -> Any:
        with getattr(store, how)() as tx:
            tx.keys.authenticate(secret)
        with store.read() as tx:
            return tx.keys.list(tenant)[0].last_used_at

    first = use()
    assert first is not None
    assert use() == first
    with store.write() as tx:
        tx.run(update(keys).values(last_used_at=first - timedelta(minutes=2)))
    assert use() >= first


def test_a_tenants_name_is_its_own(store: Store, tenant: str) -> None:
    with store.write() as tx:
        assert [found.id for found in tx.tenants.list()] == [tenant]
        with pytest.raises(Conflict):
            tx.tenants.create("tenant")
        with pytest.raises(NotFound):
            tx.tenants.get("ten_unknown")
