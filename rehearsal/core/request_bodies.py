"""The bodies of requests, whatever a client sends."""

from __future__ import annotations

import json
import mmap
import tempfile
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from rehearsal.core.records import Json

IN_MEMORY = 2**20
"""Bytes of a stored body; a longer one is a file."""
TOKEN_BYTES = 2**20
"""A request for a token, or to the rehearsal's own page: far longer than any (no service states its limit)."""


class InvalidBody(ValueError):
    """The body is not the JSON that is wanted; the message says why."""


class MissingMember(InvalidBody):
    """The body lacks a member that the operation needs."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is missing")
        self.name = name


class BodyTooLarge(HTTPException):
    """The body is longer than the service takes. Where a service has no words of its own for it, this is the answer."""

    def __init__(self) -> None:
        super().__init__(413, "Request Entity Too Large")


class Members(dict[str, Any]):
    """An object of a body. A member that is not there is the caller's mistake; any other KeyError is the rehearsal's."""

    def __missing__(self, name: str) -> Any:
        raise MissingMember(name)


def limited(request: Request, limit: int) -> Request:
    """The same request. Who reads more than ``limit`` bytes of its body raises `BodyTooLarge`."""
    read = 0

    async def receive() -> Message:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise BodyTooLarge()
        return message

    return Request(request.scope, receive)


async def stored(request: Request) -> bytes | mmap.mmap:
    """The whole body, outside of memory if it is long: an object of a store may be larger than this machine's memory."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        async for part in request.stream():
            file.write(part)
        if file.tell() <= IN_MEMORY:
            file.seek(0)
            return file.read()
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def json_value(body: bytes) -> Any:
    """The value of a body; an empty object for an empty one. Raises `InvalidBody`.

    Half of a surrogate pair is refused: no answer could repeat it (https://www.rfc-editor.org/rfc/rfc8259#section-8.2).
    """
    try:
        value = json.loads(body or b"{}", object_hook=Members)
        json.dumps(value, ensure_ascii=False).encode()
    except (RecursionError, ValueError) as error:
        raise InvalidBody(f"the body is not valid JSON: {error}") from None
    return value


def json_object(body: bytes) -> Json:
    """The members of a JSON object; none for an empty body. Raises `InvalidBody`."""
    value = json_value(body)
    if not isinstance(value, dict):
        raise InvalidBody("the body is no JSON object")
    return value


def form(body: bytes) -> dict[str, str]:
    """The fields of a form, the last of each name; what is not UTF-8 becomes the replacement character."""
    return Members(parse_qsl(body.decode(errors="replace")))
