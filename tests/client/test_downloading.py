"""Downloads and uploads against a small real server that breaks connections and lies."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import cultivar._exchange
from cultivar import CultivarError, DigestMismatch
from cultivar._digests import digest_field, parse_digest_field
from cultivar._downloading import RemoteFile, download_to
from cultivar._settings import Connection
from cultivar._transport import SyncTransport

CONTENT = bytes(range(256)) * 8192  # 2 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content` with ranges; breaks off after `server.cut` bytes, `server.cuts` times."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and server.ranges else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if server.promise:
            self.send_header("Repr-Digest", digest_field(server.promise))
        self.end_headers()
        if server.cuts > 0:
            server.cuts -= 1
            self.wfile.write(body[: server.cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(cultivar._exchange, "FIRST_RETRY", 0.01)  # the pauses are tested elsewhere
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.promise, server.ranges = CONTENT, SHA256, True
        server.cut, server.cuts, server.requests = 700_000, 0, []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def transport(server):
    transport = SyncTransport(Connection(f"http://127.0.0.1:{server.server_port}", "cv_test"))
    yield transport
    transport.close()


def wanted(**changes):
    facts = {"path": "/f", "name": "f.bin", "sha256": SHA256, "bytes": len(CONTENT)}
    return RemoteFile(**{**facts, **changes})


def test_a_file_arrives_whole(transport, tmp_path):
    path = transport.run(download_to(wanted(), tmp_path / "new"))
    assert path.read_bytes() == CONTENT
    assert [one.name for one in path.parent.iterdir()] == ["f.bin"]


def test_a_broken_download_goes_on_where_it_broke_off(server, transport, tmp_path):
    server.cuts = 2
    heard = []
    path = transport.run(download_to(wanted(), tmp_path, heard.append))
    assert path.read_bytes() == CONTENT
    assert sum(heard) == len(CONTENT)
    starts = [request.get("Range") for request in server.requests]
    assert starts[0] is None
    assert all(one is not None for one in starts[1:])


def test_a_server_without_ranges_is_read_from_the_start(server, transport, tmp_path):
    server.cuts, server.ranges = 1, False
    heard = []
    path = transport.run(download_to(wanted(), tmp_path, heard.append))
    assert path.read_bytes() == CONTENT
    assert sum(heard) == len(CONTENT)


@pytest.mark.parametrize("lie", ["content", "header"])
def test_bytes_that_are_not_the_promised_ones_leave_no_file(server, transport, tmp_path, lie):
    if lie == "content":
        server.content = CONTENT[:-1] + b"!"
    else:
        server.promise = "0" * 64
    with pytest.raises(DigestMismatch, match=r"f\.bin"):
        transport.run(download_to(wanted(), tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_replaced_only_by_a_whole_one(server, transport, tmp_path):
    (tmp_path / "f.bin").write_bytes(b"old")
    server.content = b"broken"
    with pytest.raises(DigestMismatch):
        transport.run(download_to(wanted(), tmp_path))
    assert (tmp_path / "f.bin").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["../f", "/etc/f", "a/b", "..", ""])
def test_a_name_cannot_lead_out_of_the_folder(transport, tmp_path, name):
    with pytest.raises(CultivarError, match="no name"):
        transport.run(download_to(wanted(name=name), tmp_path / "in"))
    assert not Path(tmp_path / "in").exists()


def test_a_digest_field_is_read_back():
    assert parse_digest_field(digest_field(SHA256)) == SHA256
    assert parse_digest_field(f"sha-512=:AAAA:, {digest_field(SHA256)}") == SHA256
    assert parse_digest_field("sha-256=:AAAA:") is None
    assert parse_digest_field("") is None
