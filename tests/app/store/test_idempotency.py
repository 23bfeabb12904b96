"""Idempotency keys: one effect for a request that comes twice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.domain.problems import NotFound
from app.store.database import Store
from app.store.tables import idempotency


def test_a_repeat_gets_the_first_answer(store: Store, tenant: str) -> None:
    with store.write() as tx:
        assert tx.idempotency.begin(tenant, "k", "print") == ("new",)
        tx.idempotency.finish(tenant, "k", 202, {"Location": "/v1/jobs/1"}, b'{"id": 1}')
    with store.write() as tx:
        expected = ("replay", 202, {"Location": "/v1/jobs/1"}, b'{"id": 1}')
        assert tx.idempotency.begin(tenant, "k", "print") == expected


def test_a_key_with_another_request_is_reused(store: Store, tenant: str) -> None:
    with store.write() as tx:
        tx.idempotency.begin(tenant, "k", "print")
        assert tx.idempotency.begin(tenant, "k", "other") == ("reused",)


def test_a_key_whose_request_is_not_done_is_in_flight(store: Store, tenant: str) -> None:
    with store.write() as tx:
        tx.idempotency.begin(tenant, "k", "print")
    with store.write() as tx:
        assert tx.idempotency.begin(tenant, "k", "print") == ("in_flight",)


def test_keys_belong_to_their_tenant(store: Store, tenant: str) -> None:
    with store.write() as tx:
        other = tx.tenants.create("other").id
        tx.idempotency.begin(tenant, "k", "print")
        assert tx.idempotency.begin(other, "k", "other") == ("new",)


def test_a_key_lasts_a_day_and_a_dead_request_minutes(store: Store, tenant: str) -> None:
    with store.write() as tx:
        tx.idempotency.begin(tenant, "done", "print")
        tx.idempotency.finish(tenant, "done", 201, {}, b"")
        tx.idempotency.begin(tenant, "dead", "print")
        tx.run(update(idempotency).values(created_at=tx.now() - timedelta(hours=23)))
        assert tx.idempotency.begin(tenant, "done", "print")[0] == "replay"
        assert tx.idempotency.begin(tenant, "dead", "print") == ("new",)
        assert tx.idempotency.purge() == 0
        tx.run(update(idempotency).values(created_at=tx.now() - timedelta(hours=25)))
        assert tx.idempotency.begin(tenant, "done", "other") == ("new",)
        assert tx.idempotency.purge() == 1  # "dead"; "done" is new again


def test_of_requests_that_come_at_once_one_has_the_effect(store: Store, tenant: str) -> None:
    start = threading.Barrier(6)

    def request(number: int) -> str:
        start.wait()
        with store.write() as tx:
            found = tx.idempotency.begin(tenant, "k", "print")
            if found[0] == "new":
                tx.idempotency.finish(tenant, "k", 202, {}, str(number).encode())
            return found[0]

    with ThreadPoolExecutor(6) as threads:
        found = sorted(threads.map(request, range(6)))
    assert found == ["new", *["replay"] * 5]


def test_a_request_that_failed_leaves_its_key_free(store: Store, tenant: str) -> None:
    def request() -> None:
        with store.write() as tx:
            tx.idempotency.begin(tenant, "k", "print")
            tx.tenants.get("ten_unknown")

    with pytest.raises(NotFound):
        request()
    with store.write() as tx:
        assert tx.idempotency.begin(tenant, "k", "other") == ("new",)
