"""What no HTTP client sends: lengths that lie, frames that are none, bodies without an end."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fuzz.service import PART_BYTES, Attacked, attacked

DS = "ds_" + "0" * 32
BODY = b'{"name": "x"}'
LONGEST_ANSWER, ANOTHER_ANSWER = 10.0, 0.3
PATIENCE_SECONDS = 60.0
ENDLESS = 64 << 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("home")) as service:
        yield service


@pytest.fixture(autouse=True)
def unharmed(service: Attacked) -> Iterator[None]:
    """After each attack the service answers, and its log tells of no error and no key."""
    yield
    assert httpx.get(f"{service.url}/healthz").status_code == 200
    assert service.bugs() == []
    assert service.secret not in service.log.read_text(errors="replace")


def connected(service: Attacked) -> socket.socket:
    host, _, port = service.url.rpartition("/")[2].partition(":")
    return socket.create_connection((host, int(port)), LONGEST_ANSWER)


def head(service: Attacked, first: str, *headers: str) -> bytes:
    lines = [
        first,
        "Host: localhost",
        f"Authorization: Bearer {service.secret}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answered(connection: socket.socket) -> list[int]:
    """Return the statuses of the answers that come until the connection ends, or nothing more does."""
    connection.settimeout(LONGEST_ANSWER)
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
            connection.settimeout(ANOTHER_ANSWER)
    except (TimeoutError, ConnectionError):
        pass
    return [int(line[9:12]) for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


PATCH = f"PATCH /v1/datasets/{DS} HTTP/1.1"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (["Content-Length: -1"], BODY, [400]),
        (["Content-Length: abc"], BODY, [400]),
        (["Content-Length: 13, 14"], BODY, [400]),
        (["Content-Length: 13", "Content-Length: 14"], BODY, [400]),
        (["Content-Length: 99999999999999999999999"], BODY, [400]),
        ([f"Content-Length: {10**12}"], BODY, [413]),
        (["Content-Length: 5"], BODY, [400]),  # and the rest is no request
        (["Transfer-Encoding: chunked", "Content-Length: 13"], b"0\r\n\r\n", [400]),
        (["Transfer-Encoding: chunked"], b"zz\r\nabc\r\n0\r\n\r\n", [400]),
        (["Transfer-Encoding: chunked"], b"-1\r\nabc\r\n0\r\n\r\n", [400]),
        (["Transfer-Encoding: chunked"], b"ffffffffffffffffff\r\nabc", [400]),
        (["Transfer-Encoding: gzip, chunked"], b"5\r\nabcde\r\n0\r\n\r\n", [400]),
        (["Content-Length: 13", "Expect: 200-ok"], BODY, [404]),
        (["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"], b"", [422]),
        (["Content-Length: 13", "X\0: y"], BODY, [400]),
    ],
)
def test_a_frame_that_lies_is_refused(
    service: Attacked, headers: list[str], body: bytes, expected: list[int]
) -> None:
    with connected(service) as connection:
        connection.sendall(head(service, PATCH, *headers) + body)
        assert answered(connection) == expected


@pytest.mark.parametrize(
    "first",
    ["GET", "G\0T / HTTP/1.1", "GET /healthz HTTP/9.9", "GET /\xff HTTP/1.1", "\x16\x03\x01"],
)
def test_what_is_no_request_is_refused(service: Attacked, first: str) -> None:
    with connected(service) as connection:
        connection.sendall(head(service, first))
        assert answered(connection) == [400]


def endless(connection: socket.socket, piece: bytes) -> int:
    """Send pieces until somebody has had enough; return how many bytes went."""
    connection.settimeout(0.5)
    sent = 0
    try:
        while sent < ENDLESS:
            sent += connection.send(piece)
    except (TimeoutError, ConnectionError):
        pass
    return sent


@pytest.mark.parametrize(
    ("begin", "piece", "status"),
    [
        (["X: "], b"y" * 65536, 400),
        (["X: y"], b"X: y\r\n" * 10_000, 400),
        (["Transfer-Encoding: chunked", "", "ffff"], b" " * 0xFFFF + b"\r\nffff\r\n", 413),
        (["Transfer-Encoding: chunked", "", "5;"], b"y" * 65536, 400),
        (["Transfer-Encoding: chunked", "", "2", "{}", "0", "X: "], b"y" * 65536, 400),
        (["Transfer-Encoding: chunked", "", "2", "{}", "0"], b"X: y\r\n" * 10_000, 400),
        ([f"Content-Length: {PART_BYTES}", "", "[" * PART_BYTES], b"GET / HTTP/1.1\r\nX: y" * 9999, 400),
    ],
    ids=["field", "fields", "chunks", "chunk extension", "trailer", "trailers", "after the body"],
)  # fmt: skip
def test_what_does_not_end_is_refused_and_not_kept(
    service: Attacked, begin: list[str], piece: bytes, status: int
) -> None:
    before = service.peak_bytes()
    with connected(service) as connection:
        connection.sendall(head(service, PATCH, *begin).removesuffix(b"\r\n\r\n") + b"\r\n")
        sent = endless(connection, piece)
        statuses = answered(connection)
    # The answer may be lost where the other end closes with bytes unread; then it has not taken all of them.
    assert status in statuses or (not statuses and sent < ENDLESS)
    assert service.peak_bytes() - before < ENDLESS / 4


def test_a_part_that_breaks_off_is_not_kept(service: Attacked) -> None:
    with httpx.Client(base_url=service.url, headers=service.headers) as client:
        begun = client.post("/v1/uploads", json={"filename": "a.npz", "bytes": PART_BYTES}).json()
        path = f"/v1/uploads/{begun['id']}"
        with connected(service) as connection:
            promise = f"Content-Length: {PART_BYTES}"
            connection.sendall(head(service, f"PUT {path}/parts/1 HTTP/1.1", promise) + b"x" * 10)
            await_staged(service, there=True)
        await_staged(service, there=False)
        assert client.get(path).json()["parts"] == []
        refused = client.post(f"{path}/complete")
        assert (refused.status_code, refused.json()["code"]) == (409, "upload_incomplete")


def await_staged(service: Attacked, *, there: bool) -> None:
    """Return when files are being received, or when none is."""
    until = time.monotonic() + PATIENCE_SECONDS
    while any(one.is_file() for one in Path(service.blobs.staging).rglob("*")) is not there:
        assert time.monotonic() < until, "a part is not received" if there else "a part is kept"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, 400),
        (b'{"name": ' + b"9" * 100_000 + b"}", 400),
        (b'{"name": "\\ud800"}', 400),
        (b'{"name": -Infinity}', 400),
        (b'{"name": 1e999999}', 422),
        (b"\xef\xbb\xbf{}", 400),
        (b'{"name": "a", "name": "\\u0000"}', 422),
        (b"{" + b",".join(b'"%d": 1' % i for i in range(15_000)) + b"}", 422),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_json_that_was_made_to_harm_is_refused_at_once(
    service: Attacked, body: bytes, status: int
) -> None:
    began = time.monotonic()
    answer = httpx.patch(
        f"{service.url}/v1/datasets/{DS}",
        content=body,
        headers=service.headers | {"Content-Type": "application/json"},
        timeout=LONGEST_ANSWER,
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 2000
    assert time.monotonic() - began < LONGEST_ANSWER
