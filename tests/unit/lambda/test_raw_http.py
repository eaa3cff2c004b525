"""Raw HTTP that no client library sends, against the gateway and the model server as they run in their containers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.fuzz.odd_requests import NAMED, WEBSOCKET
from tests.fuzz.rules import (
    WAYS,
    Answer,
    Resources,
    Server,
    endless,
    failures,
    good_answer,
    requests,
)

from .gateway_models import FLIGHT, KEY
from .test_gateway_asgi import free_port, serving
from .test_model_serving import LAMBDA, model_file  # noqa: F401, a fixture

ROOT = Path(__file__).parents[3]
HEAD = b"GET / HTTP/1.1\r\nHost: {host}\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "header": (HEAD + b"x: ", b"y"),
    "headers": (HEAD, b"x: y\r\n"),
    "request line": (b"GET /", b"a"),
    "chunk extension": (CHUNKED + b"2;", b"a"),
    "trailer": (CHUNKED + b"0\r\nx: ", b"y"),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n"),
}


class Running:
    """A server with its process and its log."""

    def __init__(self, server: Server, process: subprocess.Popen[str]) -> None:
        self.server = server
        self.process = psutil.Process(process.pid)
        self.log: list[str] = []
        assert process.stdout
        # A full pipe would stop the server.
        threading.Thread(target=self.log.extend, args=(process.stdout,), daemon=True).start()


@pytest.fixture(scope="module", params=["gateway", "model server"])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    if request.param == "gateway":
        with serving(MAX_CONCURRENCY="8", MAX_BODY_BYTES="262144") as gateway:
            server = Server(
                "127.0.0.1", gateway.port, key=KEY.encode(), secrets=(bytes(ROOT), b"AKIAEXAMPLE")
            )
            yield Running(server, gateway.process)
    else:
        with model_server(request.getfixturevalue("model_file")) as running:
            yield running


@contextmanager
def model_server(model: Path) -> Iterator[Running]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "model_server.serve", "serve"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(LAMBDA),
            "SM_MODEL_DIR": str(model.parent),
            "HOST": "127.0.0.1",
            "PORT": str(port),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Server("127.0.0.1", port, secrets=(bytes(ROOT),), probe=b"/ping")
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                good_answer(server)
                break
            except ConnectionError:
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.05)
        yield Running(server, process)
    finally:
        process.kill()
        process.wait()


def test_odd_requests_break_no_rule_and_leave_nothing_behind(running: Running) -> None:
    good_answer(running.server)
    before = Resources.of(running.process)
    assert failures(running.server, requests(), WAYS) == []
    time.sleep(0.2)  # the server notices that the last connection is closed
    after = Resources.of(running.process)
    assert after.megabytes < before.megabytes + 60
    assert after.files <= before.files + 20  # connections to the endpoint, which are kept
    assert after.threads <= before.threads + 20  # of the pool, up to MAX_CONCURRENCY
    log = "".join(running.log)
    assert "Traceback" not in log, log
    assert KEY not in log
    assert len(running.log) < 5 * len(NAMED) * len(WAYS)


@pytest.mark.parametrize("part", ENDLESS)
def test_a_part_of_a_request_that_does_not_end_is_refused(running: Running, part: str) -> None:
    before = Resources.of(running.process)
    assert endless(running.server, *ENDLESS[part], megabytes=64)
    assert Resources.of(running.process).megabytes < before.megabytes + 32
    good_answer(running.server)


def test_a_body_that_does_not_end_takes_no_memory(running: Running) -> None:
    before = Resources.of(running.process)
    begin = b"POST /predict HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\nContent-Length: 9999999999\r\n\r\n"
    endless(running.server, begin, b" ", megabytes=150)
    assert Resources.of(running.process).megabytes < before.megabytes + 100
    good_answer(running.server)


def test_an_upgrade_together_with_the_next_request_does_not_hang(running: Running) -> None:
    server = running.server
    with server.conversation() as talk:
        talk.send(server.good_request(WEBSOCKET.strip()) + server.good_request())
        answer = talk.answer()
        assert answer == good_answer(server)
        assert talk.closed
    assert "WebSocket library" not in "".join(running.log)


def test_what_is_wrong_with_a_request_is_not_the_answer_to_the_one_before(running: Running) -> None:
    server = running.server
    with server.conversation() as talk:
        talk.send(server.good_request() + b"no request\r\n\r\n")
        assert talk.answer() == good_answer(server)
        assert talk.closed
    with server.conversation() as talk:
        talk.send(server.good_request() * 2 + b"no request\r\n\r\n")
        assert talk.answer() in (None, good_answer(server))


def test_connections_that_send_nothing_more_keep_nobody_waiting(running: Running) -> None:
    server = running.server
    started = [
        b"",
        b"GET",
        HEAD,
        b"POST /predict HTTP/1.1\r\nHost: a:1\r\nContent-Length: 9\r\n\r\n{",
    ]
    waiting = [socket.create_connection((server.host, server.port)) for _ in range(200)]
    try:
        for index, each in enumerate(waiting):
            each.sendall(started[index % len(started)])
        begun = time.monotonic()
        good_answer(server)
        assert time.monotonic() - begun < 5  # on a busy machine, too
    finally:
        for each in waiting:
            each.close()


def predicted(server: Server, *headers: bytes) -> Answer | None:
    body = json.dumps({"instances": [FLIGHT]}).encode()
    lines = [
        b"POST /predict HTTP/1.1",
        b"Host: a:1",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    with server.conversation() as talk:
        talk.send(b"\r\n".join([*lines, b"", body]))
        return talk.answer()


def test_two_keys_are_no_key() -> None:
    """Else a proxy that checks the first and the gateway, which took the last, would see different callers."""
    with serving() as gateway:
        server = Server("127.0.0.1", gateway.port)
        key, other = b"x-api-key: " + KEY.encode(), b"x-api-key: other"
        answers = [
            predicted(server, *keys) for keys in ([key], [key, other], [other, key], [key, key])
        ]
        assert [each.status for each in answers if each] == [200, 401, 401, 401]


def test_the_three_servers_have_the_same_rules_of_http() -> None:
    places = ("lambda/gateway", "lambda/model_server", "rehearsal/core")
    assert len({(ROOT / place / "http_protocol.py").read_text() for place in places}) == 1
