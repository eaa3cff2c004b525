"""The gateway as a web server, for Cloud Run and App Service."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import uvicorn

from gateway.http import Answer, Refusal, Request, unavailable
from gateway.http_protocol import HttpProtocol
from gateway.service import Service
from gateway.settings import SettingsError

BODY_SECONDS = 10
"""A slower body is refused: each waiting body occupies a connection."""
SHUTDOWN_SECONDS = 6
"""For running requests. Together with `FLUSH_SECONDS`, for the captures, it is less than the 10 s that Cloud Run allows after SIGTERM
(https://cloud.google.com/run/docs/container-contract#instance-shutdown)."""
FLUSH_SECONDS = 3
KEEP_ALIVE_SECONDS = 620
"""Longer than the front ends of all clouds keep a connection, so that the gateway never closes a connection that
a front end is about to use. `KEEP_ALIVE_SECONDS` of the model server has the documents."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class CallerDisconnected(Exception):
    """The caller closed the connection before the request was complete."""


class App:
    """An ASGI app. So many predictions as the concurrency limit wait for their model endpoints at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._limit = service.settings.max_concurrency
        self._predicting = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request_id = str(uuid.uuid4())
        try:
            answer = await self._answer(scope, receive, request_id)
        except Refusal as refusal:
            answer = refusal.answer(request_id)
        except CallerDisconnected:
            return
        raw = [_raw(each) for each in answer.headers.items()]
        raw.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Message, receive: Receive, request_id: str) -> Answer:
        request = Request(
            method=scope["method"],
            path=scope["path"],
            headers=_joined(scope["headers"]),
            body=await self._body(receive),
            id=request_id,
        )
        if request.method != "POST":
            return await self._service.answer(request)
        if self._predicting >= self._limit:
            message = f"{self._limit} predictions are being made already. Try again shortly."
            raise unavailable(message, "busy", retry_after=1)
        self._predicting += 1
        try:
            return await self._service.answer(request)
        finally:
            self._predicting -= 1

    async def _body(self, receive: Receive) -> bytes:
        """The body, or enough of it to show that it is too large."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise CallerDisconnected
                    body += message.get("body", b"")
                    if not message.get("more_body") or self._is_too_large(body):
                        break
        except TimeoutError:
            raise Refusal(408, "timeout", "The body did not arrive in time.") from None
        return bytes(body)

    def _is_too_large(self, body: bytearray) -> bool:
        if len(body) <= self._service.settings.max_body_bytes:
            return False
        return len(body) > self._service.handler.longest_body

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._service.captures.start()
        self._service.contracts.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._service.contracts.close()
        await asyncio.to_thread(self._service.captures.close, FLUSH_SECONDS)
        await send({"type": "lifespan.shutdown.complete"})


@functools.lru_cache(64)
def _raw(header: tuple[str, str]) -> tuple[bytes, bytes]:
    """A header as ASGI has it. Most are the same in each answer."""
    name, value = header
    return name.encode(), value.encode()


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name. Two of one name are one with a comma, as Lambda passes them: no value hides another.

    https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def main() -> None:
    """Serve until SIGTERM; then finish the running requests and write the waiting captures."""
    try:
        service = Service.start(os.environ)
    except SettingsError as error:
        sys.exit(f"The gateway cannot start. {error}")
    uvicorn.run(
        App(service),
        host=service.settings.host,
        port=service.settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=HttpProtocol,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
