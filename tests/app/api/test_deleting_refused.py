"""Deleting that is refused or repeated: what is in use, another's, or being made at that moment."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from app.domain.jobs import NewJob
from app.store.database import Store
from tests.app.api.conftest import (
    BOTH_DATABASES,
    Family,
    MakeKey,
    dataset,
    delete,
    fail_next,
    gelda,
    ready_dataset,
    sample,
    submit,
    with_key,
)
from tests.app.api.test_problems import assert_problem


@pytest.mark.parametrize("cascade", [None, True, False])
def test_what_has_not_ended_or_is_read_is_refused(
    client: TestClient, family: Family, store: Store, cascade: bool | None
) -> None:
    query = {} if cascade is None else {"cascade": cascade}
    waiting = submit(client, gelda(family.dataset))["id"]
    for path in (f"/v1/datasets/{family.dataset}", f"/v1/jobs/{family.ingest}"):
        refused = assert_problem(delete(client, path, **query), 409, "in_use")
        assert waiting in str(refused["detail"])
        assert delete(client, path, dry_run=True, **query).json()["refusal"]["code"] == "in_use"
    refused = assert_problem(delete(client, f"/v1/jobs/{waiting}", **query), 409, "job_not_ended")
    assert "cancel it first" in str(refused["detail"])
    client.post(f"/v1/jobs/{waiting}/cancel")
    assert delete(client, f"/v1/jobs/{waiting}", **query).status_code == 200
    young = dataset(client)
    assert_problem(delete(client, f"/v1/datasets/{young['id']}", **query), 409, "job_not_ended")
    fail_next(store)
    assert delete(client, f"/v1/datasets/{young['id']}", **query).status_code == 200


def test_what_reads_only_what_stays_is_in_nobodys_way(client: TestClient, family: Family) -> None:
    submit(client, sample(family.generator))
    path = f"/v1/datasets/{family.dataset}"
    assert_problem(delete(client, path, cascade=True), 409, "in_use")
    assert delete(client, path, cascade=False).status_code == 200


def test_another_tenants_things_are_not_there(
    client: TestClient, stranger: TestClient, family: Family
) -> None:
    for path, unknown in (
        (f"/v1/datasets/{family.dataset}", f"/v1/datasets/ds_{'0' * 32}"),
        (f"/v1/jobs/{family.sample}", f"/v1/jobs/job_{'0' * 32}"),
    ):
        for query in ({}, {"dry_run": True}, {"cascade": True}):
            theirs, nothing = delete(stranger, path, **query), delete(stranger, unknown, **query)
            expected = assert_problem(nothing, 404, "not_found")
            assert assert_problem(theirs, 404) | {"request_id": expected["request_id"]} == expected
        assert client.get(path).status_code == 200


def test_a_repeat_with_the_same_key_gets_the_first_answer(
    client: TestClient, family: Family
) -> None:
    path = f"/v1/jobs/{family.sample}"
    first = delete(client, path, key="one")
    again = delete(client, path, key="one")
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert_problem(delete(client, path, key="one", cascade=True), 422, "idempotency_key_reused")
    assert_problem(delete(client, path), 404, "not_found")


def test_a_refused_deletion_leaves_its_key_free(client: TestClient, family: Family) -> None:
    path = f"/v1/jobs/{family.gelda}"
    assert_problem(delete(client, path, key="one"), 409, "has_derivations")
    assert delete(client, f"/v1/jobs/{family.sample}").status_code == 200
    assert delete(client, path, key="one").status_code == 200


def test_a_key_deletes_only_what_it_could_make(
    client: TestClient, anonymous: TestClient, family: Family, make_key: MakeKey
) -> None:
    with_key(anonymous, make_key(scopes=frozenset({"datasets:write"})))
    path = f"/v1/datasets/{family.dataset}"
    refused = assert_problem(delete(anonymous, path, cascade=True), 403, "insufficient_scope")
    assert refused["param"] == "jobs:write"
    assert_problem(delete(anonymous, f"/v1/jobs/{family.sample}"), 403, "insufficient_scope")
    with_key(anonymous, make_key(scopes=frozenset({"jobs:write"})))
    ingest = f"/v1/jobs/{family.ingest}"
    assert_problem(delete(anonymous, ingest, cascade=False), 403, "insufficient_scope")
    assert delete(anonymous, f"/v1/jobs/{family.gelda}", cascade=True).status_code == 200
    with_key(anonymous, make_key(scopes=frozenset({"datasets:write"})))
    assert delete(anonymous, path).status_code == 200


@BOTH_DATABASES
def test_nothing_is_accepted_on_what_is_being_deleted(
    client: TestClient, store: Store, tenant: str
) -> None:
    made = ready_dataset(client, store)
    failed = submit(client, gelda(made))["id"]
    fail_next(store)
    with ThreadPoolExecutor(3) as pool:
        with store.write() as tx:
            tx.tenants.alone(tenant)
            plan = tx.deletions.of_dataset(tenant, made, cascade=False)
            asked = [
                pool.submit(client.post, "/v1/jobs", json=gelda(made)),
                pool.submit(client.post, f"/v1/jobs/{failed}/retry"),
                pool.submit(client.post, "/v1/datasets", json={"upload_ids": list(plan.uploads)}),
            ]
            time.sleep(0.5)
            # Before them, or after them, and not between their look and their deed.
            assert not any(one.done() for one in asked)
            tx.deletions.carry_out(plan)
        for one in asked:
            assert_problem(one.result(), 422, "input_not_found")


@BOTH_DATABASES
def test_what_is_accepted_first_is_in_the_way_of_a_deletion(
    client: TestClient, store: Store, tenant: str
) -> None:
    made = ready_dataset(client, store)
    with ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            tx.tenants.naming(tenant)
            job = tx.jobs.create(NewJob(tenant, "gelda", gelda(made)["spec"], seed=0))
            gone = pool.submit(delete, client, f"/v1/datasets/{made}", cascade=True)
            time.sleep(0.5)
            assert not gone.done()
        assert job.id in str(assert_problem(gone.result(), 409, "in_use")["detail"])
