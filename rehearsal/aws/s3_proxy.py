"""S3's data plane: the emulator, which knows no permissions, behind a check of them."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from rehearsal.aws import permissions
from rehearsal.core.headers import PER_CONNECTION, WHOLE_BODY
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context

OBJECT_ACTIONS = {
    "DELETE": "s3:DeleteObject",
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "POST": "s3:PutObject",
    "PUT": "s3:PutObject",
}


class StorageProxy:
    """Forwards to the emulator what the policies of the caller's role allow."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def answer(self, request: Request, path: str, caller: Record | None) -> Response:
        """One request to S3."""
        self._require_permission(request, path, caller)
        url, headers, body = str(request.url), dict(request.headers), await request.body()
        return await anyio.to_thread.run_sync(self._forward, request.method, url, headers, body)

    def _require_permission(self, request: Request, path: str, caller: Record | None) -> None:
        bucket, _, object_key = path.removeprefix("/").partition("/")
        bucket_arn = f"arn:aws:s3:::{bucket}"
        if not object_key and request.method == "GET":
            prefix = {"s3:prefix": request.query_params.get("prefix", "")}
            permissions.require(self._context, caller, "s3:ListBucket", bucket_arn, **prefix)
        elif object_key and "x-amz-copy-source" not in request.headers:
            action = OBJECT_ACTIONS[request.method]
            permissions.require(self._context, caller, action, f"{bucket_arn}/{object_key}")
        elif caller:
            what = f"{request.method} {path}"
            raise Refusal("NotRehearsed", f"a workload's {what} of S3 is not rehearsed")

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
