"""Deleting: what goes is said first, what derives is kept or deleted by choice, nothing is left over."""

from typing import Any

from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.domain.tasks import Effects
from app.store.database import Store
from app.store.references import referenced
from app.store.tables import metadata
from tests.app.api.conftest import (
    BOTH_DATABASES,
    Family,
    dataset,
    delete,
    fail_next,
    gelda,
    ready_dataset,
    sample,
    submit,
    upload,
    work,
)
from tests.app.api.test_problems import assert_problem


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
