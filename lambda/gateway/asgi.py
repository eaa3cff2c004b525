"""The gateway as a web server, for Cloud Run and App Service."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn

from gateway.http import Answer, Refusal, Request, unavailable
from gateway.http_protocol import HttpProtocol
from gateway.service import Service
from gateway.settings import SettingsError

BODY_SECONDS = 10
"""A slower body is refused: each waiting body occupies a connection."""
READING_BYTES = 2**25
"""Of all bodies that are being read at a time: a sixteenth of the memory on Cloud Run."""
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
    """An ASGI app. So many predictions as the concurrency limit wait for their model endpoints at a time.

    One of several models has half of them at most: while its endpoint hangs, the others answer.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._limit = service.settings.max_concurrency
        several = len(service.settings.models) > 1
        self._limit_of_model = max(1, self._limit // 2) if several else self._limit
        self._predicting: Counter[str] = Counter()
        self._reading = 0
        """The bytes of all bodies that are being read."""

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
            body=b"",
            id=request_id,
        )
        model, most = await self._service.handler.wanted_body(request)
        if not model:
            return await self._service.answer(request)
        request = replace(request, body=await self._body(receive, most))
        with self._place(model):
            return await self._service.answer(request)

    @contextmanager
    def _place(self, model: str) -> Iterator[None]:
        """A place among the predictions that are made at a time. Raises `Refusal` if there is none."""
        if self._predicting.total() >= self._limit:
            message = f"{self._limit} predictions are being made already. Try again shortly."
            raise unavailable(message, "busy", retry_after=1)
        if self._predicting[model] >= self._limit_of_model:
            message = f"{self._limit_of_model} predictions of {model} are being made already. Try again shortly."
            raise unavailable(message, f"busy: {model}", retry_after=1)
        self._predicting[model] += 1
        try:
            yield
        finally:
            self._predicting[model] -= 1

    async def _body(self, receive: Receive, most: int) -> bytes:
        """The body, or enough of it to show that it is too large."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise CallerDisconnected
                    part = message.get("body", b"")
                    body += part
                    self._reading += len(part)
                    if not message.get("more_body") or len(body) > most:
                        return bytes(body)
                    if self._reading > READING_BYTES:
                        busy = "Many large requests are being read already. Try again shortly."
                        raise unavailable(busy, "busy: bodies", retry_after=1)
        except TimeoutError:
            raise Refusal(408, "timeout", "The body did not arrive in time.") from None
        finally:
            self._reading -= len(body)

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
