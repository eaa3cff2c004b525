"""A model endpoint that answers at once, and what else a gateway needs of a cloud: tokens, artifacts, a lake.

    python -m bench.instant_endpoint PORT contract.json version.txt

It answers `POST` with one prediction of the binary contract, whatever was asked, in a few microseconds: what a benchmark
measures on top of it is the gateway's.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from pathlib import Path

import uvloop

LAKE_SECONDS = 0.1


def message(content: bytes) -> bytes:
    """An answer with this content."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


class Endpoint(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, known: dict[bytes, bytes]) -> None:
        self.known, self.received = known, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        _, found, length = lowered.partition(b"content-length: ")
        if found and len(rest) < int(length.split(b"\r\n", 1)[0]):
            if b"expect: 100-continue" in lowered and not rest:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # type: ignore[attr-defined]
            return
        self.received = b""
        method, path, *_ = head.split(b" ", 2)
        name = b"POST" if method == b"POST" else path.partition(b"?")[0].rpartition(b"/")[2]
        answer = self.known.get(name, self.known[b""])
        # A lake takes its time, and the gateway has its next captures ready as soon as one is written.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html: 100 to 200 ms
        if method == b"PUT":
            asyncio.get_running_loop().call_later(LAKE_SECONDS, self.answer, answer)
        else:
            self.answer(answer)

    def answer(self, content: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(content)  # type: ignore[attr-defined]


def answers(contract: bytes, version_text: bytes) -> dict[bytes, bytes]:
    """The answers, by POST or the end of the path."""
    version = hashlib.sha256(version_text).hexdigest()
    prediction = {"probability": 0.25, "late": False}
    answer = {"predictions": [prediction], "model": "flight-delay", "model_version": version}
    token = {
        "access_token": "token",
        "expires_on": str(int(time.time()) + 86_400),
        "resource": "x",
        "token_type": "Bearer",
    }
    return {
        b"POST": message(json.dumps(answer).encode()),
        b"token": message(json.dumps(token).encode()),
        b"contract.json": message(contract),
        b"version.txt": message(version_text),
        b"": message(b""),
    }


async def serve(port: int, known: dict[bytes, bytes]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Endpoint(known), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    files = [Path(name).read_bytes() for name in sys.argv[2:]]
    uvloop.run(serve(int(sys.argv[1]), answers(*files)))
