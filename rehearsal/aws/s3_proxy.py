"""S3's data plane: the emulator, which knows no permissions, behind a check of them."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import anyio.to_thread
from starlette.responses import Response, StreamingResponse

from rehearsal.aws import permissions, s3_actions
from rehearsal.core.access_keys import SERVER_HEADER
from rehearsal.core.headers import PER_CONNECTION, WHOLE_BODY
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.runtime.sigv4 import SignedRequest

PART_BYTES = 2**16
LIST_BYTES = 2**23
"""More than the longest list of objects to delete has: a thousand keys."""


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
        listed = request.body[:LIST_BYTES]
        for action, arn, keys in s3_actions.needed(request.method, path, query, headers, listed):
            permissions.require(self._context, caller, action, arn, **keys)
        return await anyio.to_thread.run_sync(self._forward, request, path)

    def _forward(self, request: SignedRequest, path: str) -> Response:
        target = quote(path) + (f"?{request.query}" if request.query else "")
        emulator = urlsplit(self._context.object_stores.s3()).netloc
        connection = http.client.HTTPConnection(emulator, timeout=60, blocksize=PART_BYTES)
        headers = {
            name: value.encode() for name, value in request.headers if name not in WHOLE_BODY
        }
        headers[SERVER_HEADER] = self._context.access_keys.server_token.encode()
        headers["content-length"] = str(len(request.body)).encode()
        try:
            connection.request(request.method, target, request.body, headers)
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        response = StreamingResponse(_parts(answer, connection), answer.status)
        response.raw_headers = [
            (name.lower().encode(), value.encode())
            for name, value in answer.getheaders()
            if name.lower() not in PER_CONNECTION
        ]
        return response


def _parts(
    answer: http.client.HTTPResponse, connection: http.client.HTTPConnection
) -> Iterator[bytes]:
    """The body, part by part: an object may be larger than this machine's memory."""
    try:
        while part := answer.read(PART_BYTES):
            yield part
    finally:
        connection.close()
