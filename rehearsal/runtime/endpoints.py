"""Public endpoints: a loopback port for each function URL, web service and web app."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rehearsal.core.credentials import Authority
from rehearsal.core.http_protocol import HttpProtocol
from rehearsal.core.ports import Ports, listen
from rehearsal.core.request_guard import RequestGuard
from rehearsal.runtime.containers import Containers

CLOSE_SECONDS = 10
"""The time that requests in flight have when an endpoint is closed."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals to the rehearsal's server."""
        yield


class Endpoint:
    """The application that serves a port. It can be exchanged while it serves."""

    def __init__(
        self, app: ASGIApp, max_concurrency: int | None, tls: tuple[Path, Path] | None = None
    ) -> None:
        certificate, key = tls or (None, None)
        self.app = app
        self.max_concurrency = max_concurrency
        self._in_flight = 0
        self._server = _Server(
            uvicorn.Config(
                RequestGuard(self),
                lifespan="off",
                http=HttpProtocol,
                ws="none",  # an upgrade is ignored, as RFC 9110, 7.8 allows: the answer is that of plain HTTP
                ssl_certfile=certificate,
                ssl_keyfile=key,
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=CLOSE_SECONDS,
            )
        )
        self._served: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or answer 429 as Cloud Run and Lambda do at their limit."""
        if self.max_concurrency is not None and self._in_flight >= self.max_concurrency:
            await PlainTextResponse("Rate exceeded.", 429)(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._in_flight -= 1

    def serve(self, listener: socket.socket) -> None:
        """Start to serve ``listener``. Call it on the event loop."""
        self._served = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def close(self) -> None:
        """Finish the requests in flight, then stop."""
        self._server.should_exit = True
        if self._served:
            await asyncio.wait([self._served], timeout=CLOSE_SECONDS + 2)


class Endpoints:
    """Opens and closes endpoints. An endpoint keeps its port until it is closed."""

    def __init__(
        self,
        state_dir: Path,
        authority: Authority,
        containers: Containers,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._authority = authority
        self._containers = containers
        self._loop = loop
        self._ports = Ports(state_dir / "addresses.json")
        self._endpoints: dict[str, Endpoint] = {}
        self._lock = threading.Lock()

    def open(
        self, key: str, app: ASGIApp | str, *, max_concurrency: int | None = None, tls: bool = False
    ) -> str:
        """Serve ``app`` (an ASGI app, or the key of a container) and return ``http://127.0.0.1:PORT``.

        With ``tls``: ``https://``, and a certificate of the rehearsal's own CA.
        For an open endpoint the application is exchanged, without a failed request. Above
        ``max_concurrency`` requests at a time: 429. Callable from any thread. After a restart an
        endpoint is closed until it is opened again.
        """
        if isinstance(app, str):
            app = self._container(app)
        with self._lock:
            port = self._ports.port_of(_port_key(key))
            if endpoint := self._endpoints.get(key):
                endpoint.app, endpoint.max_concurrency = app, max_concurrency
            else:
                # From here on connections are accepted. They are answered as soon as the server runs.
                listener = _listen(key, port)
                certificate = self._authority.certificate("127.0.0.1") if tls else None
                endpoint = self._endpoints[key] = Endpoint(app, max_concurrency, certificate)
                self._loop.call_soon_threadsafe(endpoint.serve, listener)
        return f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    def url(self, key: str) -> str | None:
        """The endpoint's URL, also before it is opened again; None if it has no port."""
        port = self._ports.get(_port_key(key))
        return None if port is None else f"http://127.0.0.1:{port}"

    def close(self, key: str) -> None:
        """Close an endpoint and release its port; an unknown key is ignored. Only from worker threads."""
        with self._lock:
            endpoint = self._endpoints.pop(key, None)
        if endpoint:
            asyncio.run_coroutine_threadsafe(endpoint.close(), self._loop).result()
        self._ports.release(_port_key(key))

    async def close_all(self) -> None:
        """Stop serving. Every endpoint keeps its port for the next start."""
        endpoints = [self._endpoints.pop(key) for key in list(self._endpoints)]
        await asyncio.gather(*(endpoint.close() for endpoint in endpoints))

    def _container(self, key: str) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
            if not path.startswith("/"):
                # OPTIONS of the whole server, which no program here has. That front ends refuse it is believed.
                # https://www.rfc-editor.org/rfc/rfc9112#section-3.2.4
                await PlainTextResponse("Bad Request", 400)(scope, receive, send)
                return
            response = await self._containers.forward(key, request, path)
            await response(scope, receive, send)

        return app


def _port_key(key: str) -> str:
    """The name on disk is that of earlier versions."""
    return f"doors/{key}"


def _listen(key: str, port: int) -> socket.socket:
    try:
        return listen(port)
    except OSError as error:
        raise OSError(
            f"port {port} of {key} is taken by another program. A stack's state contains a URL with this"
            " port, so it is not changed automatically: stop that program, or destroy and create this"
            " endpoint again"
        ) from error
