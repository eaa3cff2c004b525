"""S3's data plane: the emulator, which knows no permissions, behind a check of them."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from rehearsal.aws import permissions, s3_actions
from rehearsal.core.headers import PER_CONNECTION, WHOLE_BODY
from rehearsal.core.records import Record
from rehearsal.provider.context import Context


class StorageProxy:
    """Forwards to the emulator what the policies of the caller's role allow."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def answer(self, request: Request, path: str, caller: Record | None) -> Response:
        """One request to S3."""
        url, headers, body = str(request.url), dict(request.headers), await request.body()
        query = dict(request.query_params)
        for action, arn, keys in s3_actions.needed(request.method, path, query, headers, body):
            permissions.require(self._context, caller, action, arn, **keys)
        return await anyio.to_thread.run_sync(self._forward, request.method, url, headers, body)

    def _forward(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Response:
        target = urlsplit(url)
        path = target.path.removeprefix("/aws") + (f"?{target.query}" if target.query else "")
        emulator = urlsplit(self._context.object_stores.s3()).netloc
        connection = http.client.HTTPConnection(emulator, timeout=60)
        try:
            kept = {name: value for name, value in headers.items() if name not in WHOLE_BODY}
            connection.request(method, path, body, kept)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        response = Response(content, answer.status)
        # The answer to HEAD has no body. Its length is that of the object.
        dropped = PER_CONNECTION if method == "HEAD" else WHOLE_BODY
        response.raw_headers = [
            (name.lower().encode(), value.encode())
            for name, value in answer.getheaders()
            if name.lower() not in dropped
        ]
        if method != "HEAD":
            response.raw_headers.append((b"content-length", str(len(content)).encode()))
        return response
