"""Requests that few clients send: a rehearsed front end answers them as the clouds' do, and never with 5xx."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from rehearsal.provider.context import Context
from tests.unit.rehearsal.test_runtime_containers import build, container

KEY = "a-key-of-32-characters-and-no-more"
ODD = {
    "an upgrade to WebSocket": "GET /health HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "a value that is not ASCII": "GET /health HTTP/1.1\r\nHost: {host}\r\nx-mine: caf\u00e9\r\n\r\n",
    "white space around a key": f"GET /health HTTP/1.1\r\nHost: {{host}}\r\nx-api-key: \t{KEY} \t\r\n\r\n",
    "a control character in a key": f"GET /health HTTP/1.1\r\nHost: {{host}}\r\nx-api-key: {KEY}\x01\r\n\r\n",
    "a path that climbs": "GET /../../etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "an encoded path that climbs": "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "a path that is not ASCII": "GET /caf\u00e9 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "an unknown method": "BREW /health HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "a length that is no number": "POST /echo/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: many\r\n\r\n",
    "two lengths": "POST /echo/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "no request at all": "\x16\x03\x01\r\n\r\n",
}


def answer(url: str, request: str) -> str:
    """The whole answer, or as much of it as arrives in ten seconds."""
    host = url.partition("//")[2]
    name, port = host.split(":")
    with socket.create_connection((name, int(port)), timeout=10) as connection:
        sent = request.format(host=host).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
        connection.sendall(sent.encode("latin-1"))
        received = b""
        with contextlib.suppress(OSError):  # a server may reset what it does not understand
            while piece := connection.recv(65536):
                received += piece
        return received.decode("latin-1")


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_request_is_no_fault_of_the_server_and_shows_no_key(
    live_context: Context, tmp_path: Path, odd: str
) -> None:
    live_context.containers.run("front", container(build(live_context, tmp_path)))
    url = live_context.endpoints.open("front", "front")
    received = answer(url, ODD[odd])
    status = received.partition(" ")[2][:3]
    assert status < "500", received
    assert KEY not in received


def test_a_header_reaches_the_program_without_the_white_space_around_it(
    live_context: Context, tmp_path: Path
) -> None:
    live_context.containers.run("front", container(build(live_context, tmp_path)))
    url = live_context.endpoints.open("front", "front")
    request = "POST /echo/a HTTP/1.1\r\nHost: {host}\r\nx-mine: \tcaf\u00e9 \t\r\nContent-Length: 0\r\n\r\n"
    assert '"header":"café"' in answer(url, request).encode("latin-1").decode()
