"""What jobs made comes out whole, in ranges, with its digest, and as one zip."""

import base64
import hashlib
import io
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.domain.tasks import Effects, NewArtifact, NewModel
from app.store.blobs import LocalBlobs
from app.store.database import Store
from tests.app.api.conftest import dataset, work
from tests.app.api.test_problems import assert_problem

CONTENT = bytes(range(256)) * 5000  # more than one chunk
REPORT = b'{"verdict": "It helps."}'


@pytest.fixture
def job_id(client: TestClient, store: Store, blobs: LocalBlobs, tenant: str) -> str:
    """A job that has ended with three files, a classifier and a generator."""

    def artifact(name: str, content: bytes, media_type: str) -> NewArtifact:
        blob = blobs.put_bytes(tenant, content)
        return NewArtifact(name, blob.sha256, blob.bytes, media_type)

    made = (
        artifact("synthetic.npz", CONTENT, "application/octet-stream"),
        artifact("report.json", REPORT, "application/json"),
        artifact("report.html", b"<p>It helps.</p>", "text/html"),
        artifact("empty.txt", b"", "text/plain"),
    )
    weights = blobs.put_bytes(tenant, b"weights")
    files = {"head.safetensors": {"sha256": weights.sha256, "bytes": weights.bytes}}
    model = NewModel(files=files, config={"method": "head"})
    dataset(client)
    return work(store, Effects(artifacts=made, classifier=model, generator=model))


@pytest.fixture
def artifact(client: TestClient, job_id: str) -> dict[str, Any]:
    rows = client.get(f"/v1/jobs/{job_id}/artifacts").json()["data"]
    found: dict[str, Any] = next(row for row in rows if row["name"] == "synthetic.npz")
    return found


@pytest.fixture
def path(artifact: dict[str, Any]) -> str:
    return f"/v1/artifacts/{artifact['id']}/content"


def test_an_artifact_comes_whole_with_its_digest(
    client: TestClient, artifact: dict[str, Any], path: str
) -> None:
    assert client.get(f"/v1/artifacts/{artifact['id']}").json() == artifact
    response = client.get(path)
    assert (response.status_code, response.content) == (200, CONTENT)
    assert response.headers["content-length"] == str(len(CONTENT))
    raw = hashlib.sha256(CONTENT).digest()
    assert response.headers["repr-digest"] == f"sha-256=:{base64.b64encode(raw).decode()}:"
    assert response.headers["etag"] == f'"{raw.hex()}"'
    assert "synthetic.npz" in response.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1279990-", 1279990, len(CONTENT)),
        ("bytes=-10", len(CONTENT) - 10, len(CONTENT)),
        ("bytes=-99999999", 0, len(CONTENT)),
        ("bytes=5-99999999", 5, len(CONTENT)),
    ],
)
def test_a_range_comes_as_asked(
    client: TestClient, path: str, asked: str, start: int, end: int
) -> None:
    response = client.get(path, headers={"Range": asked})
    assert (response.status_code, response.content) == (206, CONTENT[start:end])
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert response.headers["content-length"] == str(end - start)


@pytest.mark.parametrize(
    "asked", ["bytes=1280000-", "bytes=-0", "bytes=0-1,3-4", "bytes=" + "0-," * 5000 + "0-"]
)
def test_a_range_that_cannot_be_is_refused_at_once(
    client: TestClient, path: str, asked: str
) -> None:
    began = time.monotonic()
    response = client.get(path, headers={"Range": asked})
    assert_problem(response, 416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "asked", ["bytes=5-1", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=" + "9" * 99 + "-"]
)
def test_a_range_that_is_not_understood_is_ignored(
    client: TestClient, path: str, asked: str
) -> None:
    assert client.get(path, headers={"Range": asked}).status_code == 200


def test_what_the_client_has_is_not_sent_again(client: TestClient, path: str) -> None:
    etag = client.head(path).headers["etag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    same = client.get(path, headers={"Range": "bytes=0-1", "If-Range": etag})
    assert same.status_code == 206
    other = client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert other.status_code == 200


def test_a_head_tells_the_size_alone(client: TestClient, path: str) -> None:
    response = client.head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(CONTENT))


def test_an_empty_file_comes_empty(client: TestClient, job_id: str) -> None:
    rows = client.get(f"/v1/jobs/{job_id}/artifacts").json()["data"]
    empty = next(row for row in rows if row["name"] == "empty.txt")
    response = client.get(f"/v1/artifacts/{empty['id']}/content")
    assert (response.status_code, response.content) == (200, b"")


def test_all_outputs_come_as_one_zip(client: TestClient, job_id: str) -> None:
    response = client.get(f"/v1/jobs/{job_id}/artifacts.zip")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {
            "synthetic.npz",
            "report.json",
            "report.html",
            "empty.txt",
        }
        assert archive.read("synthetic.npz") == CONTENT


def test_a_job_without_outputs_has_no_zip_and_no_report(client: TestClient) -> None:
    job_id = dataset(client)["job_id"]
    assert client.get(f"/v1/jobs/{job_id}/artifacts").json()["data"] == []
    assert_problem(client.get(f"/v1/jobs/{job_id}/artifacts.zip"), 404)
    told = assert_problem(client.get(f"/v1/jobs/{job_id}/report"), 404)
    assert told["detail"] == "There is no such report: the job is queued."


def test_a_job_that_measured_nothing_says_so(client: TestClient, store: Store) -> None:
    job_id = dataset(client)["job_id"]
    work(store, Effects())
    told = assert_problem(client.get(f"/v1/jobs/{job_id}/report"), 404)
    assert told["detail"] == "There is no such report: a job of kind ingest measures nothing."


def test_a_report_without_a_page_is_shown_as_data(
    client: TestClient, store: Store, blobs: LocalBlobs, tenant: str
) -> None:
    dataset(client)
    blob = blobs.put_bytes(tenant, REPORT)
    report = NewArtifact("report.json", blob.sha256, blob.bytes, "application/json")
    path = f"/v1/jobs/{work(store, Effects(artifacts=(report,)))}/report"
    assert client.get(path, headers={"Accept": "text/html"}).json() == {"verdict": "It helps."}


def test_the_report_comes_as_data_or_as_a_page(client: TestClient, job_id: str) -> None:
    path = f"/v1/jobs/{job_id}/report"
    assert client.get(path).json() == {"verdict": "It helps."}
    page = client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["vary"] == "Accept"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.text == "<p>It helps.</p>"


@pytest.mark.parametrize("noun", ["generator", "classifier"])
def test_a_trained_model_is_listed_shown_and_downloaded(
    client: TestClient, job_id: str, noun: str
) -> None:
    (listed,) = client.get(f"/v1/{noun}s").json()["data"]
    shown = client.get(f"/v1/{noun}s/{listed['id']}").json()
    assert shown == listed
    assert (shown["job_id"], shown["config"]) == (job_id, {"method": "head"})
    file = client.get(f"/v1/{noun}s/{listed['id']}/files/head.safetensors")
    assert (file.status_code, file.content) == (200, b"weights")
    assert_problem(client.get(f"/v1/{noun}s/{listed['id']}/files/..%2Fx"), 404)
    assert_problem(client.get(f"/v1/{noun}s/{listed['id']}/files/other"), 404)


class Presigning(LocalBlobs):
    """As an object store: it has an address of its own for each blob."""

    def presign(self, tenant_id: str, sha256: str, *_: Any, **__: Any) -> str:
        return f"https://objects.example/{tenant_id}/{sha256}"


def test_an_object_store_hands_its_bytes_out_itself(
    app: FastAPI, client: TestClient, path: str, artifact: dict[str, Any], blobs: LocalBlobs
) -> None:
    services = app.state.services
    object.__setattr__(services, "blobs", Presigning(blobs.staging.parent))
    response = client.get(path, follow_redirects=False)
    assert response.status_code == 302
    assert response.headers["location"].endswith(artifact["sha256"])
    assert client.head(path, follow_redirects=False).status_code == 200
    quiet = services.settings.model_copy(update={"redirect_downloads": False})
    object.__setattr__(services, "settings", quiet)
    assert client.get(path, follow_redirects=False).status_code == 200


def test_a_zip_is_written_as_it_is_read(
    client: TestClient, job_id: str, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = 0
    read = type(blobs).open_range

    def small(self: LocalBlobs, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        for chunk in read(self, *args, **kwargs):
            for start in range(0, len(chunk), 1000):
                yield chunk[start : start + 1000]

    monkeypatch.setattr(type(blobs), "open_range", small)
    with client.stream("GET", f"/v1/jobs/{job_id}/artifacts.zip") as response:
        for piece in response.iter_raw():
            largest = max(largest, len(piece))
    assert 0 < largest < 10_000
