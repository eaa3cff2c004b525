"""What every server owes the sender of an odd request, and those that come after it.

- An answer that is valid HTTP and no fault of the server: below 500, but for `ALLOWED`; or the end of the connection.
- No secret in it, no traceback and no path of the machine.
- The next request on the connection has its own answer, and each request has one: nothing is smuggled.
- A good request on another connection is answered at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import h11
import psutil

from tests.fuzz.odd_requests import NAMED, OddRequest, generated

SECONDS = 10
"""So long a server may take for an answer to a whole request."""
ALLOWED = {501, 505}
"""An unknown method or transfer coding (RFC 9110, 15.6.2; RFC 9112, 6.1), another major version (RFC 9110, 15.6.6)."""
TRACES = (b"Traceback", b"site-packages", b"node_modules", b'.py"', b".py:", b"goroutine ")
MEGABYTE = 2**20


class Server(NamedTuple):
    """Where a server listens, and what no answer of it may show."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    key: bytes = b"a-key-that-nobody-has"
    secrets: tuple[bytes, ...] = ()
    probe: bytes = b"/"
    """The path that a good request is for. The answer is unlike those to odd requests."""

    @property
    def authority(self) -> bytes:
        return f"{self.host}:{self.port}".encode()

    @contextlib.contextmanager
    def conversation(self) -> Iterator[Conversation]:
        with socket.create_connection((self.host, self.port), timeout=SECONDS) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = self.tls
            with tls.wrap_socket(plain, server_hostname=self.host) if tls else plain as connection:
                yield Conversation(connection)

    def good_request(self, *headers: bytes) -> bytes:
        lines = [b"GET %s HTTP/1.1" % self.probe, b"Host: %s" % self.authority, *headers]
        return b"\r\n".join([*lines, b"", b""])

    def filled(self, odd: OddRequest) -> bytes:
        """The bytes of a request to this server."""
        return odd.data.replace(b"{host}", self.authority).replace(b"{key}", self.key)


class Answer(NamedTuple):
    """What is compared of an answer."""

    status: int
    media_type: bytes


class Conversation:
    """The answers on one connection, in their order, as h11 reads them."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._rest = b""
        self.received = b""
        self.closed = False
        self.in_sync = False
        """Whether a good request has been answered after the odd one."""

    def send(self, data: bytes) -> bool:
        """Send; False if the server has closed before it has read everything."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            return False
        return True

    def answer(self, request: bytes = b"GET") -> Answer | None:
        """The next answer, to this request; None if there is none before the end. Raises TimeoutError."""
        method = request.split(b" ", 1)[0]
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MEGABYTE)
        known = method if method in (b"HEAD", b"CONNECT") else b"GET"
        parser.send(h11.Request(method=known, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        data, self._rest = self._rest, b""
        if data:
            parser.receive_data(data)
        found = None
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = self._read()
                if not data and parser.their_state is h11.SEND_RESPONSE:
                    return None
                parser.receive_data(data)
            elif isinstance(event, h11.Response):
                media_type = dict(event.headers).get(b"content-type", b"").partition(b";")[0]
                found = Answer(event.status_code, media_type)
            elif isinstance(event, h11.EndOfMessage):
                self.closed = self.closed or parser.their_state is h11.MUST_CLOSE
                self._rest = parser.trailing_data[0]
                return found

    def rest(self) -> bytes:
        """What comes after the last answer, until the server closes."""
        while data := self._read():
            self._rest += data
        return self._rest

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(2**16)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.closed = self.closed or not data
        self.received += data
        return data


def good_answer(server: Server) -> Answer:
    """The answer to a good request, on a connection of its own."""
    with server.conversation() as talk:
        talk.send(server.good_request(b"Connection: close"))
        answer = talk.answer()
    assert answer is not None, "a good request has no answer"
    assert answer.status < 500, f"a good request is answered with {answer.status}"
    return answer


def alone(server: Server, talk: Conversation, request: bytes, good: Answer) -> str:
    """The request, its answer, a good request, its answer, the end."""
    talk.send(request)
    answer = talk.answer(request)
    if answer is None:
        return ""
    if answer.status >= 500 and answer.status not in ALLOWED:
        return f"answered with {answer.status}"
    if not talk.closed:
        talk.send(server.good_request(b"Connection: close"))
        return _next(talk, good)
    return ""


def pipelined(server: Server, talk: Conversation, request: bytes, good: Answer) -> str:
    """The request and a good one at once."""
    talk.send(request + server.good_request(b"Connection: close"))
    if talk.answer(request) is None or talk.closed:
        return ""
    return _next(talk, good)


def behind(server: Server, talk: Conversation, request: bytes, good: Answer) -> str:
    """A good request, and this one at once: what is wrong with it must not become the good one's answer.

    https://www.rfc-editor.org/rfc/rfc9112#section-9.3.2
    """
    talk.send(server.good_request() + request)
    first = talk.answer()
    return "" if first in (None, good) else f"the request before is answered with {first}"


def _next(talk: Conversation, good: Answer) -> str:
    second = talk.answer()
    if second not in (None, good):
        return f"the next request is answered with {second}, not {good}"
    talk.in_sync = second == good
    rest = talk.rest() if second else b""
    return f"one answer too many: {rest[:200]!r}" if rest else ""


Way = Callable[[Server, Conversation, bytes, Answer], str]
WAYS: tuple[Way, ...] = (alone, pipelined, behind)


def broken_rules(server: Server, odd: OddRequest, good: Answer, ways: Iterable[Way]) -> list[str]:
    """The rules that the server breaks with this request; ``good`` is its answer to a good one."""
    request = server.filled(odd)
    broken = []
    for way in ways if odd.ends else [_unanswered]:
        with server.conversation() as talk:
            try:
                if problem := way(server, talk, request, good):
                    broken.append(problem)
            except TimeoutError:
                broken.append("no answer, and the connection stays open")
            except h11.RemoteProtocolError as error:
                broken.append(f"no valid HTTP: {error}")
            shown = [
                each for each in (*server.secrets, server.key, *TRACES) if each in talk.received
            ]
            broken += [f"the answer shows {each!r}" for each in shown]
            if broken:
                return [
                    f"{way.__name__}: {each}; received: {talk.received[-400:]!r}" for each in broken
                ]
        if not talk.in_sync and (after := good_answer(server)) != good:
            return [f"afterwards a good request is answered with {after}"]
    return []


def _unanswered(server: Server, talk: Conversation, request: bytes, good: Answer) -> str:
    """A request that does not end, or may not: the client goes away."""
    talk.send(request)
    return ""


def failures(
    server: Server, requests: Iterable[OddRequest], ways: Iterable[Way] = (alone,)
) -> list[str]:
    """The odd requests with which the server breaks a rule, and which one."""
    good = good_answer(server)
    return [
        f"{odd.name}: {problem}"
        for odd in requests
        for problem in broken_rules(server, odd, good, ways)
    ]


def endless(server: Server, begin: bytes, piece: bytes, megabytes: int) -> bool:
    """Whether the server ends a request that goes on and on, before it has taken so many megabytes."""
    pieces = piece * (MEGABYTE // len(piece) + 1)
    with server.conversation() as talk:
        talk.send(begin.replace(b"{host}", server.authority).replace(b"{key}", server.key))
        return not all(talk.send(pieces) for _ in range(megabytes))


class Resources(NamedTuple):
    """What a process has, to see whether it gives everything back."""

    megabytes: int
    threads: int
    files: int

    @classmethod
    def of(cls, process: psutil.Process) -> Resources:
        memory = process.memory_info().rss // MEGABYTE
        return cls(memory, process.num_threads(), process.num_fds())


def requests() -> Iterator[OddRequest]:
    """The named requests, and generated ones: more of them, from another seed, in `make fuzz`."""
    yield from NAMED
    seed = int(os.environ.get("TRIPLANE_FUZZ_SEED", "1"))
    yield from generated(seed, int(os.environ.get("TRIPLANE_FUZZ_REQUESTS", "20")))
