"""The headers that a proxy does not send on."""

from __future__ import annotations

# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1, and what each client and server sets itself.
PER_CONNECTION = frozenset(
    [
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("proxy-authenticate", "proxy-authorization", "host", "date", "server"),
    ]
)
WHOLE_BODY = PER_CONNECTION | {"content-length"}
"""For a proxy that reads the whole body before it sends it on: the new message has a length of its own."""
DECODED_BODY = WHOLE_BODY | {"content-encoding"}
"""For a proxy whose client has also decoded the body, as httpx does."""
