"""Requests, answers and refusals, in the form that every host provides and takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.contract import FieldError
from gateway.json_text import json_text

SECURITY_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True)
class Request:
    """One HTTP request, in the form that every host provides."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """May end one byte after the limit, which shows that the body is too large."""
    id: str

    @property
    def media_type(self) -> str:
        """Without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, with its capture and its cause for the log."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    capture: Mapping[str, Any] | None = None
    """The inputs and the result of a prediction; None for every other answer."""
    cause: str = ""
    """For the log only: why the status is not 200."""


class Refusal(Exception):
    """A request that gets no prediction. ``cause`` is for the log and is not sent."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.fields, self.headers, self.cause = fields, headers or {}, cause or code

    def answer(self, request_id: str) -> Answer:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.fields:
            error["fields"] = [{"field": e.field, "reason": e.reason} for e in self.fields]
        sent = json_answer(self.status, {"error": error}, request_id, self.headers)
        return replace(sent, cause=self.cause)


def unavailable(message: str, cause: str, retry_after: int = RETRY_AFTER_SECONDS) -> Refusal:
    """503: the request is valid, and the caller may send it again after some seconds."""
    headers = {"retry-after": str(retry_after)}
    return Refusal(503, "unavailable", message, headers=headers, cause=cause)


def json_answer(
    status: int, value: object, request_id: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """An answer of JSON that no cache keeps, unless ``headers`` allow it."""
    return bytes_answer(
        status,
        json_text(value).encode(),
        request_id,
        {"content-type": "application/json", **(headers or {})},
    )


def bytes_answer(status: int, body: bytes, request_id: str, headers: Mapping[str, str]) -> Answer:
    """An answer with the headers that every answer has."""
    kept = {"cache-control": "no-store", "x-request-id": request_id}
    return Answer(status, {**SECURITY_HEADERS, **kept, **headers}, body)


def parsed(body: bytes) -> object:
    """The JSON value of a body. Raises `Refusal` (400) for everything that RFC 8259 does not allow.

    A duplicate key is refused, too. RFC 8259 leaves it to the parser, and a guess would hide a mistake.
    """
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
        if body.startswith(b"\xef\xbb\xbf"):
            reason = "it begins with a BOM"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        # A ValueError from the hooks below, or an integer with thousands of digits.
        reason = str(error).partition(";")[0]
    raise Refusal(400, "malformed", f"The body is not valid JSON: {reason}.")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {json.dumps(twice[:60])} is given twice in one object")
    return found


def _no_constants(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
"""Made once: `json.loads` with hooks makes one for each body."""
