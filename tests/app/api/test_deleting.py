"""Deleting: what goes is said first, what derives is kept or deleted by choice, nothing is left over."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.domain.jobs import NewJob
from app.domain.tasks import Effects, NewArtifact, NewModel
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.references import referenced
from app.store.tables import metadata
from tests.app.api.conftest import (
    BOTH_DATABASES,
    MANIFEST,
    MakeKey,
    dataset,
    ready_dataset,
    upload,
    with_key,
    work,
)
from tests.app.api.test_jobs import fail_next, gelda, submit
from tests.app.api.test_problems import assert_problem


@dataclass
class Family:
    """A dataset, a gelda job on it with a generator, and a job that has sampled from that."""

    dataset: str
    ingest: str
    gelda: str
    sample: str
    generator: str

    @property
    def jobs(self) -> list[str]:
        return [self.ingest, self.gelda, self.sample]


@pytest.fixture
def family(client: TestClient, store: Store, blobs: LocalBlobs, tenant: str) -> Family:
    def kept(content: bytes) -> dict[str, Any]:
        return blobs.put_bytes(tenant, content).named

    columns = {"x": {"file": "x.npy", **kept(b"the rows")}}
    made = dataset(client)
    work(store, Effects(dataset={"manifest": MANIFEST | {"columns": columns}}))
    first = submit(client, gelda(made["id"], metadata={"team": "owls"}))["id"]
    config = {"method": "gelda", "class_counts": {"cat": 20, "dog": 10}}
    report = NewArtifact("report.json", media_type="application/json", **kept(b"{}"))
    last = Effects(artifacts=(report,), generator=NewModel({"g": kept(b"weights")}, config))
    work(store, Effects(result={"files": kept(b"shards")}), Effects(), Effects(), last)
    generator = client.get(f"/v1/jobs/{first}").json()["result"]["generator"]
    second = submit(client, sample(generator))["id"]
    rows = NewArtifact("rows.npz", media_type="application/octet-stream", **kept(b"made"))
    work(store, Effects(), Effects(artifacts=(rows,)))
    return Family(made["id"], made["job_id"], first, second, generator)


def sample(generator: str) -> dict[str, Any]:
    return {"spec": {"kind": "sample", "generator": generator, "plan": {"per_class": 5}}}


def left_over(store: Store, ids: list[str]) -> dict[str, int]:
    """Return how many rows of each table name one of these jobs or uploads as their own."""
    found = {}
    with store.read() as tx:
        for table in metadata.sorted_tables:
            for name in ("job_id", "input_id", "upload_id"):
                if name in table.c:
                    count = select(func.count()).select_from(table).where(table.c[name].in_(ids))
                    found[f"{table.name}.{name}"] = tx.scalar(count)
    return {name: count for name, count in found.items() if count}


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def delete(client: TestClient, path: str, key: str | None = None, **query: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.delete(path, params=query, headers=headers)


def test_a_dry_run_lists_what_derives_and_deletes_nothing(
    client: TestClient, family: Family
) -> None:
    path = f"/v1/datasets/{family.dataset}"
    told = delete(client, path, dry_run=True).json()
    assert (told["id"], told["dry_run"]) == (family.dataset, True)
    assert told["refusal"]["code"] == "has_derivations"
    assert ids(told["jobs"]) == [family.ingest]
    assert told["jobs"][0]["dataset"] == family.dataset
    assert ids(told["derived"]) == [family.gelda, family.sample]
    assert told["derived"][0]["generator"] == family.generator
    assert told["derived"][0]["artifacts"] == 1
    assert len(told["uploads"]) == 1
    assert (told["freed_blobs"], told["freed_bytes"]) == (2, len(b"some bytes" + b"the rows"))

    told = delete(client, path, dry_run=True, cascade=True).json()
    assert told["refusal"] is None
    assert ids(told["jobs"]) == family.jobs
    assert told["derived"] == []
    everything = b"some bytes" + b"the rows" + b"{}" + b"weights" + b"shards" + b"made"
    assert (told["freed_blobs"], told["freed_bytes"]) == (6, len(everything))
    for job_id in family.jobs:
        assert client.get(f"/v1/jobs/{job_id}").status_code == 200
    assert client.get(path).status_code == 200


@BOTH_DATABASES
def test_what_has_derivations_is_deleted_by_choice_alone(
    client: TestClient, family: Family, store: Store
) -> None:
    path = f"/v1/datasets/{family.dataset}"
    refused = assert_problem(delete(client, path), 409, "has_derivations")
    assert family.gelda in str(refused["detail"])
    assert family.sample in str(refused["detail"])
    upload_id = delete(client, path, dry_run=True).json()["uploads"][0]
    done = delete(client, path, cascade=True)
    assert done.status_code == 200
    assert (done.json()["dry_run"], ids(done.json()["jobs"])) == (False, family.jobs)
    gone = [path, f"/v1/generators/{family.generator}", f"/v1/uploads/{upload_id}"]
    for one in gone + [f"/v1/jobs/{job_id}" for job_id in family.jobs]:
        assert_problem(client.get(one), 404, "not_found")
    assert client.get("/v1/jobs").json()["data"] == []
    assert client.get("/v1/datasets").json()["data"] == []
    assert left_over(store, [*family.jobs, upload_id]) == {}
    with store.read() as tx:
        assert list(referenced(tx)) == []
    assert_problem(delete(client, path), 404, "not_found")


@BOTH_DATABASES
def test_what_derives_and_is_kept_can_still_be_used(
    client: TestClient, family: Family, store: Store
) -> None:
    done = delete(client, f"/v1/datasets/{family.dataset}", cascade=False).json()
    assert ids(done["jobs"]) == [family.ingest]
    assert ids(done["derived"]) == [family.gelda, family.sample]
    assert left_over(store, [family.ingest]) == {}
    kept = client.get(f"/v1/jobs/{family.gelda}").json()
    assert (kept["state"], kept["spec"]["dataset"]) == ("succeeded", family.dataset)
    assert client.get(f"/v1/jobs/{family.gelda}/report").json() == {}
    weights = client.get(f"/v1/generators/{family.generator}/files/g")
    assert weights.content == b"weights"
    more = submit(client, sample(family.generator))["id"]
    work(store, Effects(), Effects())
    assert client.get(f"/v1/jobs/{more}").json()["state"] == "succeeded"
    assert_problem(client.post("/v1/jobs", json=gelda(family.dataset)), 422, "input_not_found")


def test_a_job_goes_with_all_that_it_has_made(
    client: TestClient, family: Family, store: Store
) -> None:
    path = f"/v1/jobs/{family.gelda}"
    assert_problem(delete(client, path), 409, "has_derivations")
    done = delete(client, path, cascade=True).json()
    assert ids(done["jobs"]) == [family.gelda, family.sample]
    assert left_over(store, [family.gelda, family.sample]) == {}
    assert client.get(f"/v1/datasets/{family.dataset}").status_code == 200
    assert delete(client, f"/v1/datasets/{family.dataset}").status_code == 200


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


def test_a_repeated_job_does_not_miss_the_one_it_repeats(client: TestClient, store: Store) -> None:
    first = submit(client, gelda(ready_dataset(client, store)))["id"]
    fail_next(store)
    again = client.post(f"/v1/jobs/{first}/retry").json()["id"]
    assert delete(client, f"/v1/jobs/{first}").status_code == 200
    assert client.get(f"/v1/jobs/{again}").json()["retry_of"] == first
    work(store, Effects())


def test_a_job_whose_input_is_deleted_shows_what_it_failed_of(
    client: TestClient, store: Store
) -> None:
    made = dataset(client)
    job = submit(client, gelda(made["id"]))
    assert job["blocked_by"] == [made["job_id"]]
    fail_next(store)
    assert delete(client, f"/v1/datasets/{made['id']}", cascade=False).status_code == 200
    shown = client.get(f"/v1/jobs/{job['id']}").json()
    assert (shown["state"], shown["error"]["code"]) == ("failed", "input_failed")
    assert_problem(client.post(f"/v1/jobs/{job['id']}/retry"), 422, "input_not_found")


def test_an_upload_goes_with_the_last_that_names_it(client: TestClient, store: Store) -> None:
    upload_id = upload(client)
    made = [
        client.post("/v1/datasets", json={"upload_ids": [upload_id]}).json()["id"] for _ in range(2)
    ]
    assert_problem(client.delete(f"/v1/uploads/{upload_id}"), 409, "in_use")
    fail_next(store)
    fail_next(store)
    assert delete(client, f"/v1/datasets/{made[0]}").json()["uploads"] == []
    assert client.get(f"/v1/uploads/{upload_id}").status_code == 200
    assert delete(client, f"/v1/datasets/{made[1]}").json()["uploads"] == [upload_id]
    assert_problem(client.get(f"/v1/uploads/{upload_id}"), 404)


def test_an_upload_that_nobody_reads_any_more_can_be_given_up(
    client: TestClient, store: Store
) -> None:
    upload_id = upload(client)
    made = client.post("/v1/datasets", json={"upload_ids": [upload_id]}).json()
    fail_next(store)
    assert client.delete(f"/v1/uploads/{upload_id}").status_code == 204
    assert client.get(f"/v1/datasets/{made['id']}").status_code == 200
    assert delete(client, f"/v1/datasets/{made['id']}").json()["uploads"] == []


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
