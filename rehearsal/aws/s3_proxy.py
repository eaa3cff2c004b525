"""S3's data plane: the emulator, which knows no permissions, behind a check of them."""

from __future__ import annotations

import http.client
from urllib.parse import quote, urlsplit

import anyio.to_thread
from starlette.responses import Response

from rehearsal.aws import permissions, s3_actions
from rehearsal.core.access_keys import SERVER_HEADER
from rehearsal.core.headers import PER_CONNECTION, WHOLE_BODY
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.runtime.sigv4 import SignedRequest


class StorageProxy:
    """Forwards to the emulator what the policies of the caller's role allow."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def answer(self, request: SignedRequest, path: str, caller: Record | None) -> Response:
        """One request to S3, whose signature is verified."""
        query, headers = request.parameters, dict(request.headers)
        if len(query) < len([pair for pair in request.query.split("&") if pair]):
            # Of two parameters with one name, the server could take another than the check has seen.
            raise Refusal("InvalidArgument", "A parameter of the query is given twice.")
        for action, arn, keys in s3_actions.needed(
            request.method, path, query, headers, request.body
        ):
            permissions.require(self._context, caller, action, arn, **keys)
        return await anyio.to_thread.run_sync(self._forward, request, path)

    def _forward(self, request: SignedRequest, path: str) -> Response:
        target = quote(path) + (f"?{request.query}" if request.query else "")
        emulator = urlsplit(self._context.object_stores.s3()).netloc
        connection = http.client.HTTPConnection(emulator, timeout=60)
        try:
            headers = {
                name: value.encode() for name, value in request.headers if name not in WHOLE_BODY
            }
            headers[SERVER_HEADER] = self._context.access_keys.server_token.encode()
            connection.request(request.method, target, request.body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        response = Response(content, answer.status)
        # The answer to HEAD has no body. Its length is that of the object.
        dropped = PER_CONNECTION if request.method == "HEAD" else WHOLE_BODY
        response.raw_headers = [
            (name.lower().encode(), value.encode())
            for name, value in answer.getheaders()
            if name.lower() not in dropped
        ]
        if request.method != "HEAD":
            response.raw_headers.append((b"content-length", str(len(content)).encode()))
        return response
