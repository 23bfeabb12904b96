"""An upload takes as long as its file is large, and no longer than that."""

import json
import socket
import threading
from contextlib import suppress

import numpy as np
import pytest

from cultivar import APITimeoutError, ConfigurationError
from cultivar._constants import READ_TIMEOUT, SLOWEST_JOIN
from cultivar._exchange import Reply, Send, Work
from cultivar._settings import Connection
from cultivar._transport import SyncTransport
from cultivar._uploading import as_npz, upload_file

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def sent_for(path, part_bytes):
    """Drive the upload of a file by hand; return what is sent."""
    size, sent = path.stat().st_size, []
    view = {"id": "up_1", "filename": path.name, "bytes": size, "part_bytes": part_bytes}
    view |= {"sha256": None, "created_at": "2026-01-01T00:00:00Z", "parts": []}
    flow = upload_file(path, lambda _: None, lambda _: None)
    step = next(flow)
    try:
        while True:
            if isinstance(step, Work):
                step = flow.send("0" * 64)
                continue
            assert isinstance(step, Send)
            sent.append(step)
            state = "complete" if step.path.endswith("complete") else "receiving"
            step = flow.send(Reply(200, {}, json.dumps(view | {"state": state}).encode()))
    except StopIteration:
        return sent


def test_completing_waits_for_as_long_as_joining_may_take(tmp_path):
    path = tmp_path / "large.npz"
    with path.open("wb") as file:
        file.truncate(64 << 30)  # a hole: nothing is written, and nothing here reads it
    *before, last = sent_for(path, 16 << 30)
    assert last.path == "/v1/uploads/up_1/complete"
    assert last.read_timeout == READ_TIMEOUT + (64 << 30) / SLOWEST_JOIN
    assert last.read_timeout > 3000
    assert len(before) == 6
    assert {send.read_timeout for send in before} == {READ_TIMEOUT}


def test_none_among_labels_becomes_what_the_service_takes_for_no_label():
    arrays = {"names": ["ant", None, "bee"], "numbers": [2, None, 0], "x": [[1.5], [2.5], [3.5]]}
    with as_npz(arrays) as path, np.load(path, allow_pickle=False) as found:
        assert found["names"].tolist() == ["ant", "", "bee"]
        np.testing.assert_array_equal(found["numbers"], [2.0, np.nan, 0.0])
        assert found["x"].dtype == np.float64


def test_what_is_neither_a_name_nor_a_number_is_not_sent():
    for value in (["ant", 3, None], [{"a": 1}, None]):
        with (
            pytest.raises(ConfigurationError, match="y holds Python objects"),
            as_npz({"y": value}),
        ):
            pass


@pytest.fixture
def slow_server():
    """URL of a server that answers each connection after half a second."""

    def answer(connection):
        with connection, suppress(OSError):  # one that did not wait is gone
            connection.recv(1 << 16)
            ended.wait(0.5)
            connection.sendall(ANSWER)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):  # closed with bytes unread, it would be reset
                pass

    def serve():
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)


def test_an_exchange_waits_for_its_own_time(slow_server):
    transport = SyncTransport(Connection(slow_server, "cv_key"))

    def ask(seconds):
        reply = yield Send("POST", "/", read_timeout=seconds)
        return reply

    assert transport.run(ask(20)).status == 200
    with pytest.raises(APITimeoutError):
        transport.run(ask(0.1))
    transport.close()
