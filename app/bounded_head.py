"""HTTP/1.1 as uvicorn speaks it, but for requests whose head does not end.

httptools keeps what it has of a field until the field ends, and uvicorn sets it no bound: anyone could fill
the memory with one header field, before there is a request to which a key or a limit could be applied.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 64 * 1024
"""Bytes of a request's line and fields, or between two pieces of its body, beyond the first read."""


class BoundedHead(HttpToolsProtocol):
    """One connection; what leads to no request and to no piece of a body is counted."""

    _held = 0
    _led_on = False

    def data_received(self, data: bytes) -> None:
        self._led_on = False
        super().data_received(data)
        self._held = 0 if self._led_on else self._held + len(data)
        if self._held > LONGEST_HEAD and not self.transport.is_closing():
            self.logger.warning("A request's head is longer than %d bytes.", LONGEST_HEAD)
            self.send_400_response("The request's head is too long.")

    def on_message_begin(self) -> None:
        # Its first bytes came behind those of another message, perhaps.
        self._led_on = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._led_on = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._led_on = True
        super().on_body(body)
