"""Which requests a listener on loopback refuses: those that a page of another origin can send.

A browser on this machine reaches loopback for any page. Three headers, which no page can set, tell its requests
from those of clients:

- ``Host`` has the name that the page used. Another name than loopback's is DNS rebinding:
  https://developer.mozilla.org/docs/Web/Security/Attacks/DNS_rebinding
- ``Origin`` names the page's origin: https://www.rfc-editor.org/rfc/rfc6454#section-7
- ``Sec-Fetch-Site`` is there where ``Origin`` is not, as in requests for an image or a script:
  https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
OWN_SITES = frozenset({"", "same-origin", "none"})
"""``none``: a person typed the address. ``same-site`` is a page on another port: ports do not count for a site."""


def refusal(headers: Mapping[str, str], *, scheme: str, method: str) -> str | None:
    """Why a request is refused, by its headers (names in lower case); None if it is not."""
    host = headers.get("host", "")
    name, _, port = host.rpartition(":")
    if name not in NAMES or not port.isdigit():
        return f"This server answers at {', '.join(sorted(NAMES))} only, with the port."
    origin = headers.get("origin")
    if origin is not None and origin != f"{scheme}://{host}":
        return "This server takes no requests from pages of another origin."
    if headers.get("sec-fetch-site", "") not in OWN_SITES and not _opens_page(headers, method):
        return "This server takes no requests from pages of another origin."
    return None


def _opens_page(headers: Mapping[str, str], method: str) -> bool:
    """Whether a person follows a link: the answer becomes a page of its own, which the former page cannot read."""
    return (
        method == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


class RequestGuard:
    """Answers 403 to what `refusal` refuses, before the application sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
            }
            problem = refusal(headers, scheme=scope["scheme"], method=scope["method"])
            if problem:
                await PlainTextResponse(problem, 403)(scope, receive, send)
                return
        # A client that goes away before its body is complete is no fault of the application.
        with suppress(ClientDisconnect):
            await self._app(scope, receive, send)
