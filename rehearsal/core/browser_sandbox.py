"""What a browser is not to run: objects of the object stores.

They have the origin of the rehearsal's page, whose tab keeps the token of its API. A script in an object could read it there.
S3, Cloud Storage and Azure have an origin of their own for objects, and send none of these headers.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # An origin of its own for the answer, and no scripts: https://www.w3.org/TR/CSP3/#directive-sandbox
    "content-security-policy": "sandbox",
    "x-content-type-options": "nosniff",
}


class BrowserSandbox:
    """Adds `HEADERS` to what a browser is answered below these paths. Other clients see what the cloud answers."""

    def __init__(self, app: ASGIApp, paths: tuple[str, ...]) -> None:
        self._app, self._paths = app, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does."""
        if (
            scope["type"] != "http"
            or not scope["path"].startswith(self._paths)
            or not is_browser(Headers(scope=scope))
        ):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def is_browser(headers: Headers) -> bool:
    """Whether a browser sends these: all name themselves so, and the newer ones say what the answer is for.

    https://www.rfc-editor.org/rfc/rfc9110#field.user-agent
    https://www.w3.org/TR/fetch-metadata/
    """
    return "sec-fetch-dest" in headers or headers.get("user-agent", "").startswith("Mozilla/")
