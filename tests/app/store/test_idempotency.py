"""A request with an idempotency key has its effect once."""

from app.store.database import Store


def test_a_key_is_new_then_in_flight_then_replayed(store: Store, tenant: str) -> None:
    with store.write() as tx:
        assert tx.idempotency.begin(tenant, "key", "fingerprint") == ("new",)
    with store.write() as tx:
        assert tx.idempotency.begin(tenant, "key", "fingerprint") == ("in_flight",)
        assert tx.idempotency.begin(tenant, "key", "another") == ("reused",)
        tx.idempotency.finish(tenant, "key", 202, {"Location": "/v1/jobs/x"}, b"{}")
    with store.write() as tx:
        replay = ("replay", 202, {"Location": "/v1/jobs/x"}, b"{}")
        assert tx.idempotency.begin(tenant, "key", "fingerprint") == replay


def test_a_key_of_a_request_without_effect_may_be_used_again(store: Store, tenant: str) -> None:
    for _ in range(2):
        with store.write() as tx:
            assert tx.idempotency.begin(tenant, "key", "fingerprint") == ("new",)
            tx.idempotency.abandon(tenant, "key")


def test_tenants_do_not_share_keys(store: Store, tenant: str) -> None:
    with store.write() as tx:
        other = tx.tenants.create("other").id
        assert tx.idempotency.begin(tenant, "key", "fingerprint") == ("new",)
        assert tx.idempotency.begin(other, "key", "fingerprint") == ("new",)
