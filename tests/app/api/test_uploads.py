"""Files come in whole, in parts, resumably, and never beyond their limits."""

import base64
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.staging import staged
from app.api.sweeping import sweep
from app.main import create_app
from app.queue import Bell
from app.settings import Settings
from app.store.blobs import LocalBlobs
from app.store.database import Store
from tests.app.api.conftest import BOTH_DATABASES, upload
from tests.app.api.test_problems import assert_problem
from tests.conftest import fill

CONTENT = bytes(range(256)) * 10  # 2,560 bytes: parts of 1000, 1000 and 560


def begin(client: TestClient, **fields: Any) -> dict[str, Any]:
    body = {"filename": "birds.npz", "bytes": len(CONTENT)} | fields
    response = client.post("/v1/uploads", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def put(client: TestClient, upload_id: str, number: int, content: Any, **headers: str) -> Any:
    return client.put(f"/v1/uploads/{upload_id}/parts/{number}", content=content, headers=headers)


def part(number: int) -> bytes:
    return CONTENT[(number - 1) * 1000 : number * 1000]


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


@BOTH_DATABASES
def test_a_file_sent_in_parts_arrives_whole(
    client: TestClient, store: Store, blobs: LocalBlobs, tenant: str
) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    begun = begin(client, sha256=sha256)
    assert begun["part_bytes"] == 1000
    for number in (3, 1, 2):
        sent = put(
            client, begun["id"], number, part(number), **{"Content-Digest": digest(part(number))}
        )
        assert sent.status_code == 200
        assert sent.json()["sha256"] == hashlib.sha256(part(number)).hexdigest()
    completed = client.post(f"/v1/uploads/{begun['id']}/complete")
    assert completed.json()["state"] == "complete"
    with store.read() as tx:
        row = tx.uploads.get(tenant, begun["id"])
    assert row is not None
    assert row.blob == sha256
    assert b"".join(blobs.open_range(tenant, sha256)) == CONTENT
    assert not staged(blobs.staging)


def test_completing_again_answers_the_same(client: TestClient) -> None:
    upload_id = upload(client, CONTENT)
    again = client.post(f"/v1/uploads/{upload_id}/complete")
    assert again.status_code == 200
    assert again.json() == client.get(f"/v1/uploads/{upload_id}").json()


def test_an_upload_resumes_from_the_parts_received(client: TestClient) -> None:
    begun = begin(client)
    put(client, begun["id"], 1, part(1))
    put(client, begun["id"], 3, part(3))
    body = assert_problem(
        client.post(f"/v1/uploads/{begun['id']}/complete"), 409, "upload_incomplete"
    )
    assert "2" in str(body["detail"])
    received = client.get(f"/v1/uploads/{begun['id']}").json()["parts"]
    assert [one["number"] for one in received] == [1, 3]
    put(client, begun["id"], 2, part(2))
    assert client.post(f"/v1/uploads/{begun['id']}/complete").status_code == 200


def test_a_complete_upload_tells_the_hash_that_nobody_promised(client: TestClient) -> None:
    assert begin(client)["sha256"] is None
    completed = client.get(f"/v1/uploads/{upload(client, CONTENT)}").json()
    assert completed["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_an_empty_file_is_a_file(client: TestClient) -> None:
    assert client.get(f"/v1/uploads/{upload(client, b'')}").json()["state"] == "complete"


def test_a_part_sent_twice_counts_once(client: TestClient, blobs: LocalBlobs, tenant: str) -> None:
    begun = begin(client)
    for number in (1, 2, 3):
        put(client, begun["id"], number, bytes(len(part(number))))
    for number in (1, 2, 3):
        put(client, begun["id"], number, part(number))
    client.post(f"/v1/uploads/{begun['id']}/complete")
    assert blobs.exists(tenant, hashlib.sha256(CONTENT).hexdigest())


def test_bytes_that_are_not_the_promised_ones_are_not_kept(client: TestClient) -> None:
    begun = begin(client, sha256="0" * 64)
    wrong = put(client, begun["id"], 1, part(1), **{"Content-Digest": digest(b"other")})
    assert_problem(wrong, 422, "digest_mismatch")
    assert client.get(f"/v1/uploads/{begun['id']}").json()["parts"] == []
    for number in (1, 2, 3):
        put(client, begun["id"], number, part(number))
    whole = client.post(f"/v1/uploads/{begun['id']}/complete")
    assert_problem(whole, 422, "digest_mismatch")


@pytest.mark.parametrize("header", ["sha-256=:AAAA:", "sha-256=abc", "sha-256=:!!!!:"])
def test_a_malformed_digest_is_said_to_be_so(client: TestClient, header: str) -> None:
    begun = begin(client)
    assert_problem(put(client, begun["id"], 1, part(1), **{"Content-Digest": header}), 400)


@pytest.mark.parametrize(("number", "status"), [(0, 422), (4, 422), (10**20, 422), ("x", 422)])
def test_a_part_has_its_number(client: TestClient, number: Any, status: int) -> None:
    assert_problem(put(client, begin(client)["id"], number, b"x"), status)


def test_a_part_has_its_length(client: TestClient, blobs: LocalBlobs) -> None:
    upload_id = begin(client)["id"]
    assert_problem(put(client, upload_id, 1, b"x" * 999), 400, "wrong_length")
    assert_problem(put(client, upload_id, 1, b"x" * 1001), 413)
    assert_problem(put(client, upload_id, 1, iter([b"x" * 999])), 400, "wrong_length")
    assert [path.name for path in blobs.staging.glob("uploads/*/*/*")] == []


def test_a_body_that_does_not_end_is_cut_off(client: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 26:
            sent += 1 << 16
            yield bytes(1 << 16)

    assert_problem(put(client, begin(client)["id"], 1, endless()), 413)


@pytest.mark.parametrize("suffix", ["pt", "pkl", "bin", "PTH", "ckpt"])
def test_formats_that_are_code_are_refused_at_the_start(client: TestClient, suffix: str) -> None:
    response = client.post("/v1/uploads", json={"filename": f"a.{suffix}", "bytes": 1})
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"bytes": 100_001}, 413),
        ({"bytes": -1}, 422),
        ({"bytes": 10**30}, 422),
        ({"bytes": 1.5}, 422),
        ({"filename": "../../etc/passwd"}, 422),
        ({"filename": ""}, 422),
        ({"sha256": "abc"}, 422),
        ({"state": "complete"}, 422),
    ],
)
def test_an_upload_that_cannot_be_is_refused(
    client: TestClient, fields: dict[str, Any], status: int
) -> None:
    body = {"filename": "a.npz", "bytes": 1} | fields
    assert_problem(client.post("/v1/uploads", json=body), status)


def test_a_full_disk_leaves_nothing_behind(
    client: TestClient, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin(client)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        body = assert_problem(put(client, begun["id"], 1, part(1)), 507, "out_of_space")
    assert body["retryable"] is True
    assert list(blobs.staging.glob("uploads/*/*/*")) == []
    assert put(client, begun["id"], 1, part(1)).status_code == 200


def test_a_part_for_which_there_is_no_room_gets_507_and_is_taken_when_there_is(
    api_settings: Settings, store: Store, disk: Path, redis_url: str, client: TestClient
) -> None:
    blobs = LocalBlobs(disk / "blobs")
    app = create_app(api_settings, store=store, blobs=blobs, bell=Bell(redis_url))
    crammed = TestClient(app, headers=client.headers)
    begun, ballast = begin(crammed), disk / "ballast"
    fill(ballast, 0)
    assert_problem(put(crammed, begun["id"], 1, part(1)), 507, "out_of_space")
    assert list(blobs.staging.glob("uploads/*/*/*")) == []
    ballast.unlink()
    assert put(crammed, begun["id"], 1, part(1)).status_code == 200


def test_a_damaged_part_is_found_at_the_end(client: TestClient, blobs: LocalBlobs) -> None:
    begun = begin(client)
    for number in (1, 2, 3):
        put(client, begun["id"], number, part(number))
    (file,) = blobs.staging.glob(f"uploads/*/{begun['id']}/2")
    file.write_bytes(bytes(1000))
    assert_problem(client.post(f"/v1/uploads/{begun['id']}/complete"), 409, "part_damaged")
    put(client, begun["id"], 2, part(2))
    assert client.post(f"/v1/uploads/{begun['id']}/complete").status_code == 200


def test_a_deleted_upload_is_gone_with_its_parts(client: TestClient, blobs: LocalBlobs) -> None:
    begun = begin(client)
    put(client, begun["id"], 1, part(1))
    assert client.delete(f"/v1/uploads/{begun['id']}").status_code == 204
    assert_problem(client.get(f"/v1/uploads/{begun['id']}"), 404)
    assert_problem(client.delete(f"/v1/uploads/{begun['id']}"), 404)
    assert not staged(blobs.staging)


def test_sweeping_takes_only_what_nobody_sends_any_more(
    client: TestClient, blobs: LocalBlobs
) -> None:
    begun = begin(client)
    put(client, begun["id"], 1, part(1))
    orphan = Path(blobs.staging) / "uploads" / "ten_x" / ("up_" + "0" * 32)
    orphan.mkdir(parents=True)
    assert sweep(client.app.state.services) == 1
    assert [upload_id for _, upload_id in staged(blobs.staging)] == [begun["id"]]


def test_a_repeated_begin_is_one_upload(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"filename": "a.npz", "bytes": 5}
    first = client.post("/v1/uploads", json=body, headers=headers)
    again = client.post("/v1/uploads", json=body, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
