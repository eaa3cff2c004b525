"""POST over kept connections: HTTP/1.1 with the parser that uvicorn has, too.

A client of `requests` takes half a millisecond of a core for a call, and a thread; aiohttp a fifth of that, and eight
packages more in the image. This one takes 12 µs (bench/gateway.py).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MAX_ANSWER_BYTES = 32 * 2**20
HEAD_BYTES = 2**16


class NoConnection(Exception):
    """There was no connection, or it ended before the answer did."""


class NoAnswer(Exception):
    """The answer did not come in time."""


@dataclass(frozen=True)
class Reply:
    """An answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Place:
    """Where connections go to, and the head that every request there begins with."""

    host: str
    port: int
    tls: bool
    head: bytes
    free: list[Connection] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._waiting: asyncio.Future[Reply] | None = None
        self._transport: Any = None
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self in self._place.free:
            self._place.free.remove(self)
        if self._waiting is None or self._waiting.done():
            return
        if self._until_end:
            self.on_message_complete()
        else:
            self._waiting.set_exception(NoConnection(type(error).__name__ if error else "closed"))

    async def post(self, request: bytes) -> Reply:
        """Send a request and return its answer. Raises `NoConnection`."""
        import httptools  # not on Lambda, which calls its endpoint with boto3

        self._waiting = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._received = 0
        self._until_end = False
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        self.open = False
        self._transport.abort()

    # What httptools calls.

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self.close()  # nothing was asked
            return
        self._received += len(data)
        try:
            if self._received > MAX_ANSWER_BYTES + HEAD_BYTES:
                raise ValueError("the answer is too large")
            self._parser.feed_data(data)
        except Exception as error:
            if not self._waiting.done():
                self._waiting.set_exception(NoConnection(f"no HTTP: {type(error).__name__}"))
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        # https://www.rfc-editor.org/rfc/rfc9112#section-6.3: without either, the body ends with the connection.
        self._until_end = not self._headers.keys() & {"content-length", "transfer-encoding"}

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # https://www.rfc-editor.org/rfc/rfc9110#section-15.2: the answer follows
            self._headers, self._until_end = {}, False
            return
        if self._until_end or not self._parser.should_keep_alive():
            self.close()
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(Reply(status, self._headers, bytes(self._body)))


class HttpClient:
    """Posts JSON. A connection is kept for the next request to the same place."""

    def __init__(self, connect_seconds: float, read_seconds: float) -> None:
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._places: dict[str, Place] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Reply:
        """The answer. Raises `NoConnection` or `NoAnswer`."""
        place = self._places.get(url) or self._place(url)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = b"%b%bcontent-length: %d\r\n\r\n%b" % (
            place.head,
            lines.encode("latin-1"),
            len(body),
            body,
        )
        try:
            async with asyncio.timeout(self._read_seconds):
                return await self._posted(place, request)
        except TimeoutError:
            raise NoAnswer from None

    async def _posted(self, place: Place, request: bytes) -> Reply:
        while place.free:
            try:
                return await self._answer(place, place.free.pop(), request)
            except NoConnection:
                # The server has ended an idle connection at the moment when it was used again. A prediction may be asked twice.
                continue
        return await self._answer(place, await self._connection(place), request)

    async def _answer(self, place: Place, connection: Connection, request: bytes) -> Reply:
        try:
            reply = await connection.post(request)
        except BaseException:
            # Also when the time is over: an answer that comes later would be taken for the next one's.
            connection.close()
            raise
        if connection.open:
            place.free.append(connection)
        return reply

    async def _connection(self, place: Place) -> Connection:
        loop = asyncio.get_running_loop()
        tls = self._context() if place.tls else None
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, made = await loop.create_connection(
                    lambda: Connection(place), place.host, place.port, ssl=tls
                )
        except (OSError, TimeoutError) as error:  # a failed handshake is an OSError, too
            raise NoConnection(type(error).__name__) from error
        return made

    def _place(self, url: str) -> Place:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        found = Place(
            str(parts.hostname), parts.port or (443 if tls else 80), tls, head.encode("ascii")
        )
        self._places[url] = found
        return found

    def _context(self) -> ssl.SSLContext:
        """Certificates are checked against what `requests` checks them against, which the clouds' clients use."""
        if self._tls is None:
            import certifi

            bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
            self._tls = ssl.create_default_context(cafile=bundle or certifi.where())
        return self._tls
