"""HTTP/1.1 as uvicorn speaks it with httptools, and three rules that it leaves out.

h11, uvicorn's other parser, has them, but reads a request that has both Transfer-Encoding and Content-Length, and goes on
with the connection: RFC 9112, 6.3 (https://www.rfc-editor.org/rfc/rfc9112#section-6.3-2.3).

The gateway, the model server and the rehearsal each have this file: an image has no other folder than its own, and the
rehearsal shares no code with the program. A test holds the three together.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 2**16
"""uvicorn has no limit with httptools (https://github.com/Kludex/uvicorn/pull/1684). This is h11's."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    _held = 0
    """Bytes since the last part of a request was complete: so much of a head, chunk or trailer is kept in memory."""

    def data_received(self, data: bytes) -> None:
        self._held += len(data)
        super().data_received(data)
        if self._held > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of a request is too long.")

    def on_headers_complete(self) -> None:
        self._held = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._held = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, unless an earlier request waits for its answer: it would take this one for it.

        Answers come in the order of the requests: https://www.rfc-editor.org/rfc/rfc9112#section-9.3.2
        """
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        elif self.pipeline:
            self.transport.close()
        elif self.cycle.more_body:  # this request itself is broken
            super().send_400_response(msg)
        else:
            self.cycle.keep_alive = False

    def _unsupported_upgrade_warning(self) -> None:
        """Answer in HTTP/1.1, and close: the parser drops what came together with the request for another protocol.

        A server may ignore an upgrade: https://www.rfc-editor.org/rfc/rfc9110#section-7.8
        """
        self.cycle.keep_alive = False
