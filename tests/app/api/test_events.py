"""Events: pages by cursor, and streams that resume."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api import events
from app.store.database import Store
from tests.app.api.conftest import BOTH_DATABASES, dataset, ready_dataset
from tests.app.api.test_jobs import gelda, wait_for
from tests.app.api.test_problems import assert_problem

STREAM = {"Accept": "text/event-stream"}


def frames(text: str) -> list[dict[str, str]]:
    """Return the fields of each event of a stream; comments are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            found.append(fields)
    return found


@pytest.fixture
def canceled(client: TestClient) -> str:
    job_id = dataset(client)["job_id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    return job_id


@BOTH_DATABASES
def test_events_come_in_pages_oldest_first(client: TestClient, canceled: str) -> None:
    path = f"/v1/jobs/{canceled}/events"
    first = client.get(path, params={"limit": 1}).json()
    assert [event["type"] for event in first["data"]] == ["job.queued"]
    assert first["has_more"] is True
    rest = client.get(path, params={"after": first["next_after"]}).json()
    assert rest["data"][-1]["type"] == "job.canceled"
    assert (rest["has_more"], rest["next_after"]) == (False, None)


def test_a_stream_ends_with_its_job(client: TestClient, canceled: str) -> None:
    response = client.get(f"/v1/jobs/{canceled}/events", headers=STREAM)
    assert response.headers["content-type"].startswith("text/event-stream")
    stream = frames(response.text)
    assert [frame["event"] for frame in stream][:1] == ["job.queued"]
    assert stream[-1]["event"] == "job.canceled"
    assert [json.loads(frame["data"])["seq"] for frame in stream] == [
        int(frame["id"]) for frame in stream
    ]


def test_a_stream_resumes_after_the_last_event_seen(client: TestClient, canceled: str) -> None:
    path = f"/v1/jobs/{canceled}/events"
    whole = frames(client.get(path, headers=STREAM).text)
    rest = client.get(path, headers=STREAM | {"Last-Event-ID": whole[0]["id"]})
    assert frames(rest.text) == whole[1:]
    over = client.get(path, headers=STREAM | {"Last-Event-ID": whole[-1]["id"]})
    assert (over.status_code, over.content) == (204, b"")


def test_a_stream_tells_what_happens_while_it_is_open(client: TestClient) -> None:
    job_id = dataset(client)["job_id"]
    timer = threading.Timer(0.3, client.post, [f"/v1/jobs/{job_id}/cancel"])
    timer.start()
    stream = frames(client.get(f"/v1/jobs/{job_id}/events", headers=STREAM).text)
    timer.join()
    assert stream[-1]["event"] == "job.canceled"


def test_a_stream_ends_where_its_job_is_deleted(
    client: TestClient, store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, looked = events._page, threading.Event()

    def watched(*args: Any) -> Any:
        try:
            return page(*args)
        finally:
            looked.set()

    monkeypatch.setattr(events, "_page", watched)
    job_id = dataset(client)["job_id"]
    path = f"/v1/jobs/{job_id}/events"
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(client.get, path, headers=STREAM)
        assert looked.wait(60)
        canceled_and_deleted_at_once(store, tenant, job_id)
        response = stream.result(60)
    assert response.status_code == 200
    assert [frame["event"] for frame in frames(response.text)] == ["job.queued"]
    assert_problem(client.get(path, headers=STREAM), 404, "not_found")


def canceled_and_deleted_at_once(store: Store, tenant: str, job_id: str) -> None:
    """In one transaction, so that no look of a reader comes between the two."""
    with store.write() as tx:
        tx.tenants.alone(tenant)
        tx.jobs.request_cancel(tenant, job_id)
        tx.deletions.carry_out(tx.deletions.of_job(tenant, job_id, cascade=None))


def test_who_waits_for_a_job_that_is_deleted_is_told(
    client: TestClient, store: Store, tenant: str
) -> None:
    body = gelda(ready_dataset(client, store))
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.post, "/v1/jobs", json=body, headers={"Prefer": "wait=60"})
        wait_for(lambda: client.get("/v1/jobs?kind=gelda").json()["data"], 60)
        job_id = client.get("/v1/jobs?kind=gelda").json()["data"][0]["id"]
        canceled_and_deleted_at_once(store, tenant, job_id)
        assert_problem(held.result(timeout=60), 404, "not_found")


def test_a_silent_stream_beats(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(events, "_LOOK_SECONDS", 0.05)
    job_id = dataset(client)["job_id"]
    timer = threading.Timer(0.6, client.post, [f"/v1/jobs/{job_id}/cancel"])
    timer.start()
    text = client.get(f"/v1/jobs/{job_id}/events", headers=STREAM).text
    timer.join()
    assert text.count(": heartbeat\n\n") >= 2


@pytest.mark.parametrize("last", ["x", "-1", "1e3", "9" * 30, "²"])
def test_a_last_event_that_cannot_be_is_refused(
    client: TestClient, canceled: str, last: str
) -> None:
    headers: Any = STREAM | {"Last-Event-ID": last.encode()}
    assert_problem(client.get(f"/v1/jobs/{canceled}/events", headers=headers), 422)


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=9223372036854775808", "limit=0"])
def test_a_bad_cursor_is_refused(client: TestClient, canceled: str, query: str) -> None:
    assert_problem(client.get(f"/v1/jobs/{canceled}/events?{query}"), 422)
