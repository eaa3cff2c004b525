"""The bodies of requests, whatever a client sends."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from rehearsal.core.records import Json


class InvalidBody(ValueError):
    """The body is not the JSON that is wanted; the message says why."""


def json_value(body: bytes) -> Any:
    """The value of a body; an empty object for an empty one. Raises `InvalidBody`.

    Half of a surrogate pair is refused: no answer could repeat it (https://www.rfc-editor.org/rfc/rfc8259#section-8.2).
    """
    try:
        value = json.loads(body or b"{}")
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
    return dict(parse_qsl(body.decode(errors="replace")))
