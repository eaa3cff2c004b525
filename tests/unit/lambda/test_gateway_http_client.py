"""The gateway's own HTTP client against servers that keep, end, delay and break their connections."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from gateway import http_client
from gateway.http_client import HttpClient, NoAnswer, NoConnection, Reply
from gateway.tokens import EARLY_SECONDS, Token, Tokens

from rehearsal.core.credentials import Authority

from .fake_cloud import ReceivedRequest, fake_cloud
from .fake_cloud import Reply as CloudReply

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Script = Callable[[int, bytes], bytes | None]
"""The answer to a request, by the number of its connection; None ends the connection without one."""


@asynccontextmanager
async def server(script: Script, ends: bool = False) -> AsyncIterator[tuple[str, list[int]]]:
    """A server's URL, and the number of the connection of each request."""
    requests: list[int] = []
    connections: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        number = len(connections)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                requests.append(number)
                answer = script(number, head)
                if answer is None:
                    break
                writer.write(answer)
                if ends:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    running = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = running.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/path?query=1", requests
    finally:
        running.close()
        for each in connections:
            each.close()


def posts(script: Script, count: int = 1, ends: bool = False) -> tuple[list[Reply], list[int]]:
    """The replies to requests one after another, and the connection of each."""

    async def run() -> tuple[list[Reply], list[int]]:
        client = HttpClient(1, 1)
        async with server(script, ends) as (url, requests):
            replies = [await client.post(url, b"body", {"x-key": "v"}) for _ in range(count)]
            return replies, requests

    return asyncio.run(run())


def test_a_request_has_its_head_and_its_length_and_a_connection_is_kept() -> None:
    heads: list[bytes] = []
    replies, connections = posts(lambda number, head: heads.append(head) or OK, count=3)
    assert [each.body for each in replies] == [b"ok"] * 3
    assert connections == [1, 1, 1]
    first, *lines = heads[0].decode().split("\r\n")
    assert first == "POST /path?query=1 HTTP/1.1"
    assert {"content-type: application/json", "x-key: v", "content-length: 4"} <= set(lines)
    assert any(line.startswith("host: 127.0.0.1:") for line in lines)


def test_a_connection_that_ended_while_it_was_idle_is_replaced() -> None:
    replies, connections = posts(lambda number, head: OK, count=3, ends=True)
    assert [each.status for each in replies] == [200] * 3
    assert connections == [1, 2, 3]


def test_a_connection_that_ends_at_the_moment_of_its_use_is_replaced_at_once() -> None:
    seen: list[int] = []

    def script(number: int, head: bytes) -> bytes | None:
        seen.append(number)
        return None if seen.count(1) == 2 and number == 1 else OK

    replies, connections = posts(script, count=2)
    assert [each.status for each in replies] == [200, 200]
    assert connections == [1, 1, 2]


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 424 Failed\r\nX-Status: 400\r\ncontent-length: 0\r\n\r\n", 424, b""),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    ],
)
def test_each_form_of_answer_is_read(answer: bytes, status: int, body: bytes) -> None:
    (reply,), _ = posts(lambda number, head: answer)
    assert (reply.status, reply.body) == (status, body)
    assert all(name == name.lower() for name in reply.headers)


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    """https://www.rfc-editor.org/rfc/rfc9112#section-6.3-2.8"""
    (reply,), _ = posts(lambda number, head: b"HTTP/1.1 200 OK\r\n\r\nok", ends=True)
    assert reply.body == b"ok"


@pytest.mark.parametrize(
    "answer", [None, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", b"SSH-2.0-OpenSSH\r\n\r\n"]
)
def test_what_is_not_a_whole_answer_is_no_connection(answer: bytes | None) -> None:
    with pytest.raises(NoConnection):
        posts(lambda number, head: answer, ends=True)


def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 1000)
    monkeypatch.setattr(http_client, "HEAD_BYTES", 100)
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + bytes(5000)
    with pytest.raises(NoConnection):
        posts(lambda number, head: long)


def test_a_late_answer_is_no_answer_and_never_anothers() -> None:
    async def run() -> bytes:
        client = HttpClient(1, 0.2)
        ended = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = await reader.read(1000)
            if b"slow" in data:
                assert await reader.read() == b"", "the connection is not kept"
                ended.set()
            writer.write(OK.replace(b"\r\n\r\nok", b"\r\n\r\n" + data[-2:]))
            writer.close()

        running = await asyncio.start_server(slow, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/"
        with pytest.raises(NoAnswer):
            await client.post(url, b"slow", {})
        await asyncio.wait_for(ended.wait(), 5)
        found = (await client.post(url, b"-2", {})).body
        running.close()
        return found

    assert asyncio.run(run()) == b"-2"


def test_nothing_listens_is_no_connection() -> None:
    with pytest.raises(NoConnection, match="ConnectionRefusedError"):
        asyncio.run(HttpClient(1, 1).post("http://127.0.0.1:1/", b"", {}))


def test_a_connection_that_does_not_come_about_is_given_up_in_time() -> None:
    started = time.monotonic()
    with pytest.raises((NoConnection, NoAnswer)):
        # An address for documentation, which nobody answers at: https://www.rfc-editor.org/rfc/rfc5737
        asyncio.run(HttpClient(0.2, 5).post("http://192.0.2.1/", b"", {}))
    assert time.monotonic() - started < 2


def test_many_requests_at_a_time_have_a_connection_each_and_keep_them() -> None:
    async def run() -> list[int]:
        client = HttpClient(2, 5)
        async with server(lambda number, head: OK) as (url, requests):
            for _ in range(3):
                await asyncio.gather(*(client.post(url, b"b", {}) for _ in range(8)))
            return requests

    connections = asyncio.run(run())
    assert len(connections) == 24
    assert set(connections) == set(range(1, 9))


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_is_checked(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    else:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    def answer(_: ReceivedRequest) -> CloudReply:
        return CloudReply(body={"a": 1})

    with fake_cloud(answer, authority.certificate("127.0.0.1")) as cloud:
        if trusted:
            assert asyncio.run(HttpClient(2, 2).post(cloud.url, b"{}", {})).status == 200
        else:
            with pytest.raises(NoConnection, match=ssl.SSLCertVerificationError.__name__):
                asyncio.run(HttpClient(2, 2).post(cloud.url, b"{}", {}))


class Issuer:
    """Tokens of an hour, and a clock that the test controls."""

    def __init__(self) -> None:
        self.now, self.issued, self.down = 1_000_000.0, 0, False
        self.tokens = Tokens(self.fetch, lambda: self.now)

    def fetch(self) -> Token:
        if self.down:
            raise ConnectionError
        self.issued += 1
        return Token(f"token-{self.issued}", self.now + 3600)

    async def many(self) -> set[str]:
        return set(await asyncio.gather(*(self.tokens.get() for _ in range(5))))


def test_a_token_is_shared_and_fetched_again_before_its_end() -> None:
    issuer = Issuer()

    async def run() -> None:
        assert await issuer.many() == {"token-1"}
        issuer.now += 3600 - EARLY_SECONDS
        assert await issuer.many() == {"token-1"}, (
            "nobody waits for the next one while one is valid"
        )
        await asyncio.sleep(0.05)
        assert await issuer.many() == {"token-2"}

    asyncio.run(run())


def test_a_valid_token_is_used_while_no_other_can_be_fetched() -> None:
    issuer = Issuer()

    async def run() -> None:
        await issuer.many()
        issuer.now, issuer.down = issuer.now + 3600 - EARLY_SECONDS, True
        assert await issuer.many() == {"token-1"}
        await asyncio.sleep(0.05)
        issuer.now += EARLY_SECONDS
        with pytest.raises(ConnectionError):
            await issuer.many()
        issuer.down = False
        await asyncio.sleep(0)
        assert await issuer.many() == {"token-2"}

    asyncio.run(run())
