"""S3's data plane: the emulator, which knows no permissions, behind a check of them."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from rehearsal.aws import permissions
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context

OBJECT_ACTIONS = {
    "DELETE": "s3:DeleteObject",
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "POST": "s3:PutObject",
    "PUT": "s3:PutObject",
}
PER_CONNECTION = frozenset(
    {"connection", "host", "keep-alive", "transfer-encoding", "content-length"}
)


async def answer(context: Context, request: Request, path: str, caller: Record | None) -> Response:
    """One request to S3, forwarded if the policies of the caller's role allow it."""
    bucket, _, object_key = path.removeprefix("/").partition("/")
    bucket_arn = f"arn:aws:s3:::{bucket}"
    if not object_key and request.method == "GET":
        prefix = {"s3:prefix": request.query_params.get("prefix", "")}
        permissions.require(context, caller, "s3:ListBucket", bucket_arn, **prefix)
    elif object_key and "x-amz-copy-source" not in request.headers:
        action = OBJECT_ACTIONS[request.method]
        permissions.require(context, caller, action, f"{bucket_arn}/{object_key}")
    elif caller:
        what = f"{request.method} {path}"
        raise Refusal("NotRehearsed", f"a workload's {what} of S3 is not rehearsed")
    url, headers, body = str(request.url), dict(request.headers), await request.body()
    return await anyio.to_thread.run_sync(_forward, context, request.method, url, headers, body)


def _forward(
    context: Context, method: str, url: str, headers: dict[str, str], body: bytes
) -> Response:
    target = urlsplit(url)
    path = target.path.removeprefix("/aws") + (f"?{target.query}" if target.query else "")
    emulator = urlsplit(context.object_stores.s3()).netloc
    connection = http.client.HTTPConnection(emulator, timeout=60)
    try:
        kept = {name: value for name, value in headers.items() if name not in PER_CONNECTION}
        connection.request(method, path, body, kept)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    response = Response(content, answer.status)
    response.raw_headers = [
        (name.lower().encode(), value.encode())
        for name, value in answer.getheaders()
        if name.lower() not in PER_CONNECTION
        or (method == "HEAD" and name.lower() == "content-length")
    ]
    if method != "HEAD":
        response.raw_headers.append((b"content-length", str(len(content)).encode()))
    return response
