"""Requests that are unusual, ambiguous or wrong: a list with names, and as many more as a seed gives."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from typing import NamedTuple

CRLF = b"\r\n"
HOST = b"Host: {host}\r\n"
KEY = b"x-api-key: {key}\r\n"
JSON = b"Content-Type: application/json\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + CRLF
HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class OddRequest(NamedTuple):
    """What is sent on one connection. ``{host}`` and ``{key}`` stand for those of the server."""

    name: str
    data: bytes
    ends: bool = True
    """Whether a server can answer it without more data."""


def get(name: str, headers: bytes = b"", target: bytes = b"/health") -> OddRequest:
    return OddRequest(name, b"GET " + target + b" HTTP/1.1\r\n" + HOST + headers + CRLF)


def line(name: str, request_line: bytes) -> OddRequest:
    return OddRequest(name, request_line + CRLF + HOST + CRLF)


def post(name: str, framing: bytes, body: bytes, *, ends: bool = True) -> OddRequest:
    head = b"POST /predict HTTP/1.1\r\n" + HOST + KEY + JSON + framing + CRLF
    return OddRequest(name, head + body, ends)


def body(name: str, content: bytes, headers: bytes = b"") -> OddRequest:
    length = f"Content-Length: {len(content)}\r\n".encode()
    return post(name, headers + length, content)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTHS = [
    (b"Content-Length: 0\r\n" + CHUNKED, b"2\r\n{}\r\n0\r\n\r\n"),
    (CHUNKED + b"Content-Length: 4\r\n", b"0\r\n\r\n" + SMUGGLED),
    (b"Content-Length: 2\r\nContent-Length: 0\r\n", b"{}"),
    (b"Content-Length: 0, 2\r\n", b"{}"),
    (b"Content-Length: 2, 2\r\n", b"{}"),
    (b"Content-Length: +2\r\n", b"{}"),
    (b"Content-Length: -2\r\n", b"{}"),
    (b"Content-Length: 0x2\r\n", b"{}"),
    (b"Content-Length: 2_0\r\n", b"{}" + b" " * 18),
    (b"Content-Length: 99999999999999999999\r\n", b"{}"),
    (b"Content-Length : 2\r\n", b"{}"),
    (b"Content-Length: \r\n", b"{}"),
    (b"Transfer-Encoding: gzip, chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n", b"{}"),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    (b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    (b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"),
    (b"x: y\nTransfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    (CHUNKED, b'2;name="value"\r\n{}\r\n0\r\n\r\n'),
    (CHUNKED, b"2;" + b"x" * 20_000 + b"\r\n{}\r\n0\r\n\r\n"),
    (CHUNKED, b"2 \r\n{}\r\n0\r\n\r\n"),
    (CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n"),
    (CHUNKED, b"-2\r\n{}\r\n0\r\n\r\n"),
    (CHUNKED, b"FFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n"),
    (CHUNKED, b"2\n{}\n0\n\n"),
    (CHUNKED, b"2\r\n{}xx0\r\n\r\n"),
    (CHUNKED, b"2\r\n{}\r\n0\r\nx-api-key: another\r\nContent-Length: 50\r\n\r\n"),
    (CHUNKED, b"".join(b"1\r\n \r\n" for _ in range(2000)) + b"0\r\n\r\n"),
]
"""Framing that two servers may read differently, and its body. RFC 9112, 6.3 and 7.1; RFC 9110, 8.6."""

TARGETS = [
    *(b"http://{host}/health", b"http://other.example/health", b"//health", b"//other.example/"),
    *(b"/./health", b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"/..%2f..%2fetc/passwd"),
    *(
        b"/%00",
        b"/health%00",
        b"/%",
        b"/%zz",
        b"/%ff%fe",
        b"/%c3%28",
        b"/%0d%0ax:%20y",
        b"/%25%32%65",
    ),
    *(
        b"/health#fragment",
        b"/health?",
        b"/?%ff=%",
        b"/?a=1&a=2&a[]=",
        b"/\\..\\..\\windows",
        b"/a//b///c",
    ),
    *(
        b"*",
        b"health",
        b"?",
        b"",
        b"/caf\xe9",
        b"/caf\xc3\xa9",
        b"/%ED%A0%80",
        b"/\x7f",
        b"/\x00",
        b'/{}|^`<>"',
    ),
    *(
        b"/" + b"a" * 5000,
        b"/" + b"%41" * 20_000,
        b"/" + b"../" * 3000,
        b"/;jsessionid=1",
        b"/_api/status",
    ),
    *(
        b"http://",
        b"http:///x",
        b"http://[::1/",
        b"http://user@{host}/",
        b"file:///etc/passwd",
        b"/ /x",
    ),
]
LINES = [
    *(
        b"BREW /health HTTP/1.1",
        b"get /health HTTP/1.1",
        b"TRACE / HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
    ),
    *(
        b"CONNECT example.com:443 HTTP/1.1",
        b"CONNECT {host} HTTP/1.1",
        b"PROPFIND / HTTP/1.1",
        b"PATCH / HTTP/1.1",
    ),
    *(
        b"HEAD /health HTTP/1.1",
        b"DELETE /health HTTP/1.1",
        b"OPTIONS /predict HTTP/1.1",
        b"M" * 5000 + b" / HTTP/1.1",
    ),
    *(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
        b"GET /health HTTP/2.0",
        b"GET /health HTTP/9.9",
        b"GET /health HTTP/1.2",
    ),
    *(
        b"GET /health HTTP/1.0",
        b"GET /health HTTP/0.9",
        b"GET /health",
        b"GET",
        b"GET /health http/1.1",
    ),
    *(
        b"GET /health HTTP/1.1 ",
        b"GET  /health  HTTP/1.1",
        b"GET\t/health\tHTTP/1.1",
        b" GET /health HTTP/1.1",
    ),
    *(
        b"\r\n\r\nGET /health HTTP/1.1",
        b"GET /health HTTP/11.1",
        b"GET /health FTP/1.1",
        b"G\xc3\x89T / HTTP/1.1",
    ),
    *(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH_9.6",
        b"{}",
    ),
]
HEADERS = [
    *(
        WEBSOCKET,
        UPGRADE + b"Upgrade: h2c\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n",
    ),
    *(
        b"Upgrade: websocket\r\n",
        b"Connection: Upgrade\r\n",
        b"Connection: close, x-api-key\r\n" + KEY,
    ),
    *(
        b"x: caf\xe9\r\n",
        b"x: caf\xc3\xa9\r\n",
        b"x: \x00\r\n",
        b"x: \x01\x08\x0b\x0c\x1f\x7f\r\n",
        b"x: a\rb\r\n",
    ),
    *(
        b"caf\xe9: x\r\n",
        b"x y: z\r\n",
        b"x\x00: z\r\n",
        b": no name\r\n",
        b"no colon\r\n",
        b"x\r\n y: folded\r\n",
    ),
    *(
        b"x: a\r\n folded\r\n",
        b"x: a\r\n\tfolded\r\n",
        b" x: before any\r\n",
        b"x: y\nz: bare\r\n",
        b"x:" + b" " * 9000 + b"y\r\n",
    ),
    *(
        b"Host: other.example\r\n",
        b"Host: {host}, other.example\r\n",
        b"X-Forwarded-Host: other.example\r\n",
    ),
    *(
        b"x-api-key: {key} \t\r\n",
        b"x-api-key:\t{key}\r\n",
        b'x-api-key: "{key}"\r\n',
        b"x-api-key: {key}\x01\r\n",
    ),
    *(
        KEY + KEY,
        KEY + b"x-api-key: another\r\n",
        b"x-api-key: caf\xe9\r\n",
        b"x-api-key: \xf0\x9f\x94\x91\r\n",
    ),
    *(
        b"X_API_KEY: {key}\r\n",
        b"Authorization: Bearer {key}\r\nAuthorization: Basic Og==\r\n",
        b"Authorization: \xff\r\n",
    ),
    *(
        b"Authorization: AWS4-HMAC-SHA256 Credential=/////, Signature=\r\n",
        b"Authorization: Bearer .{key}.\r\n",
    ),
    *(
        b"Authorization: Bearer e30.e30.\r\n",
        b"Authorization: SharedKey a:b\r\n",
        b"Authorization: Bearer " + b"a" * 9000 + b"\r\n",
    ),
    *(
        b"Cookie: " + b"a=b; " * 1500 + b"\r\n",
        b"Range: bytes=0-1,5-,-9,99999999999999999999-\r\n",
        b"Range: bytes=\r\n",
    ),
    *(
        b"If-Modified-Since: never\r\n",
        b'If-None-Match: "\r\n',
        b"Accept: */*;q=nan, " + b"a/b," * 500 + b"\r\n",
    ),
    *(
        b"Accept-Encoding: gzip;q=-1, \x80\r\n",
        b"Expect: 200-ok\r\n",
        b"Max-Forwards: -1\r\nTE: trailers, x;q=9\r\n",
    ),
    *(
        b"x: y\r\n" * 150,
        b"".join(f"x-{n}: y\r\n".encode() for n in range(2000)),
        b"x: " + b"y" * 100_000 + b"\r\n",
    ),
    *(
        b"x-amz-date: tomorrow\r\n",
        b"x-ms-date: tomorrow\r\nx-ms-version: 1\r\n",
        b"x-amz-target: \xe9\r\n",
    ),
    *(
        b"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n",
        b"x-amz-copy-source: %ff/../x\r\n",
    ),
    *(
        b"Keep-Alive: timeout=-1\r\n",
        b"Proxy-Connection: keep-alive\r\n",
        b"Content-Encoding: br, gzip, deflate\r\n",
    ),
    *(
        b"Metadata-Flavor: \xe9\r\n",
        b"x-identity-header: \xe9\r\n",
        b"x-goog-user-project: \xe9\r\n",
    ),
]
BODIES = [
    *(
        b"",
        b"{",
        b"[]",
        b"null",
        b"nul",
        b'"',
        b"{}{}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"\x00",
        b"{}\x00",
    ),
    *(
        b"[" * 100_000,
        b'{"instances":' * 50_000,
        b'{"instances":[' + b"[" * 10_000 + b"]" * 10_000 + b"]}",
    ),
    *(
        b'{"instances":[{"temp":NaN}]}',
        b'{"instances":[{"temp":-Infinity}]}',
        b'{"instances":[{"temp":1e999}]}',
    ),
    *(
        b'{"instances":[{"temp":' + b"9" * 5000 + b"}]}",
        b'{"instances":[{"temp":-0.0}]}',
        b'{"instances":[{"temp":1E400}]}',
    ),
    *(
        b'{"instances":[],"instances":[{}]}',
        b'{"instances":[{"carrier":"\\ud800"}]}',
        b'{"\\ud800":1}',
        b'{"instances":"\\udfff"}',
    ),
    *(
        b'{"instances":[{"carrier":"UA","carrier":"\\u0000"}]}',
        b'{"instances":[{"__proto__":{}}]}',
        b"{'instances':[]}",
    ),
    *(
        b'{"instances":[{"date":"\xd9\xa1\xd9\xa2"}]}',
        b'{"instances":[{"departure":"T23:59:60Z"}]}',
        b"caf\xe9",
    ),
    *(
        b'{"instances":[' + b"{}," * 5000 + b"{}]}",
        b'{"instances":[1e308,true,null,[],""]}',
        b"a=b&c=%ff&Action=%",
    ),
    json.dumps({"instances": [{"carrier": "x" * 100_000}]}).encode(),
]
CODED = [
    (gzip.compress(b" " * 5_000_000), b"Content-Encoding: gzip\r\n"),
    (b"not gzip", b"Content-Encoding: gzip\r\n"),
    ("{}".encode("utf-16"), b"Content-Type: application/json; charset=utf-16\r\n"),
    (b"{}", b"Content-Type: application/json; charset=klingon\r\n"),
    (b"{}", b"Content-Type: \xe9\r\n"),
    (b"--x\r\n\r\n", b"Content-Type: multipart/form-data; boundary=x\r\n"),
    (b"%ff=%", b"Content-Type: application/x-www-form-urlencoded\r\n"),
    (b"\xff\xfe", b"Content-Type: application/x-www-form-urlencoded\r\n"),
]
UNFINISHED = [
    OddRequest("a cut request line", b"GET /hea", ends=False),
    OddRequest("a cut head", b"GET / HTTP/1.1\r\n" + HOST + b"x-", ends=False),
    post("a cut body", b"Content-Length: 100\r\n", b"{", ends=False),
    post("a cut chunk", CHUNKED, b"64\r\n{", ends=False),
    post("a body without its last chunk", CHUNKED, b"2\r\n{}\r\n", ends=False),
    post(
        "an expected 100 without a body",
        b"Expect: 100-continue\r\nContent-Length: 2\r\n",
        b"",
        ends=False,
    ),
    post(
        "a length beyond any memory", b"Content-Length: 9223372036854775807\r\n", b"{", ends=False
    ),
]


def shown(data: bytes) -> str:
    text = repr(data[:60])[2:-1]
    return f"{text}…" if len(data) > 60 else text


NAMED: tuple[OddRequest, ...] = (
    *(get(f"target {shown(each)}", target=each) for each in TARGETS),
    *(line(f"line {shown(each)}", each) for each in LINES),
    *(get(f"header {shown(each)}", each) for each in HEADERS),
    *(post(f"framing {shown(a)} {shown(b)}", a, b) for a, b in LENGTHS),
    *(body(f"body {shown(each)}", each) for each in BODIES),
    *(body(f"coding {shown(headers)} {shown(each)}", each, headers) for each, headers in CODED),
    OddRequest(
        "a request in the body of a GET",
        b"GET /health HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    ),
    *UNFINISHED,
)


NEIGHBOURS = (get("an upgrade", WEBSOCKET), line("no HTTP", b"no request"))
"""What a server has to keep apart from the requests before and behind it."""


def generated(seed: int, number: int) -> Iterator[OddRequest]:
    """Random combinations of the oddities above, the same for the same seed."""
    random_ = random.Random(seed)
    for index in range(number):
        method = random_.choice([b"GET", b"POST", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS"])
        target = random_.choice([b"/predict", b"/health", b"/", random_.choice(TARGETS)])
        headers = b"".join(random_.sample(HEADERS, random_.randint(0, 3)))
        framing, content = random_.choice(
            [random_.choice(LENGTHS), (b"", b""), _with_length(random_.choice(BODIES))]
        )
        data = (
            method
            + b" "
            + target
            + b" HTTP/1.1\r\n"
            + HOST
            + KEY
            + JSON
            + headers
            + framing
            + CRLF
            + content
        )
        ends = True
        match random_.randrange(6):
            case 0:
                data, ends = data[: random_.randrange(len(data))], False
            case 1:
                place = random_.randrange(len(data))
                data = data[:place] + random_.randbytes(random_.randint(1, 3)) + data[place + 1 :]
                ends = False
        yield OddRequest(f"{index} of seed {seed}", data, ends)


def _with_length(content: bytes) -> tuple[bytes, bytes]:
    return f"Content-Length: {len(content)}\r\n".encode(), content
