"""Requests as a client sends them that does not normalize their path: httpx, and so Starlette's test client, does."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

import anyio.from_thread
from starlette.testclient import TestClient


def raw_request(
    client: TestClient, method: str, target: str, body: bytes, headers: dict[str, str]
) -> int:
    """The status of the answer, by the same application."""
    path, _, query = target.partition("?")
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def call() -> None:
        await client.app(scope, receive, send)

    if client.portal is not None:
        client.portal.call(call)
    else:
        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(call)
    status: int = sent[0]["status"]
    return status
