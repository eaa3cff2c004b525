"""Requests that few clients send, before a rehearsed front end. All of them: tests/e2e/test_raw_http.py."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from rehearsal.provider.context import Context
from tests.fuzz.odd_requests import NEIGHBOURS
from tests.fuzz.rules import WAYS, Server, failures
from tests.unit.rehearsal.test_runtime_containers import build, container


def front_end(context: Context, folder: Path) -> Server:
    """A front end before a container."""
    context.containers.run("front", container(build(context, folder)))
    parts = urlsplit(context.endpoints.open("front", "front"))
    assert parts.hostname
    assert parts.port
    return Server(parts.hostname, parts.port, secrets=(bytes(folder),), probe=b"/health")


def test_each_request_of_a_connection_has_its_own_answer_whatever_is_before_or_behind_it(
    live_context: Context, tmp_path: Path
) -> None:
    assert failures(front_end(live_context, tmp_path), NEIGHBOURS, WAYS) == []


def test_options_of_the_whole_server_is_no_fault_of_the_front_end(
    live_context: Context, tmp_path: Path
) -> None:
    server = front_end(live_context, tmp_path)
    with server.conversation() as talk:
        talk.send(b"OPTIONS * HTTP/1.1\r\nHost: %s\r\n\r\n" % server.authority)
        answer = talk.answer()
        assert answer
        assert answer.status == 400


def test_a_header_reaches_the_program_without_the_white_space_around_it(
    live_context: Context, tmp_path: Path
) -> None:
    server = front_end(live_context, tmp_path)
    head = b"POST /echo/a HTTP/1.1\r\nHost: %s\r\n" % server.authority
    with server.conversation() as talk:
        talk.send(head + b"x-mine: \tcaf\xe9 \t\r\nContent-Length: 0\r\n\r\n")
        talk.answer()
        assert '"header":"café"' in talk.received.decode()
