"""Tokens of another issuer that are none, or have claims of a wrong type."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

ODD_TIMES: tuple[dict[str, Any], ...] = (
    *({"exp": each} for each in ("x", "", None, [], {}, True, "9999999999", -1, 0, float("nan"))),
    *({"nbf": each} for each in ("x", None, [], {}, True, 9_999_999_999, float("nan"))),
    {"exp": 1},
    {"nbf": 1e400},
)
ODD_NAMES: tuple[dict[str, Any], ...] = tuple(
    {name: value}
    for name in ("aud", "iss", "sub")
    for value in (None, 7, [], {}, ["x"], {"x": []}, "\ud800", "\0", "x" * 5000)
)
NO_TOKENS = ("", ".", "..", "a.b.c", "e30.e30.", "é.é.é", "e30.W10.e30", "\0", "x" * 100_000)


def odd_tokens(good: dict[str, Any]) -> Iterator[str]:
    """Tokens that no service takes, each by a claim other than those of a good one."""
    yield from NO_TOKENS
    for odd in (*ODD_TIMES, *ODD_NAMES):
        yield encoded(json.dumps({"exp": time.time() + 300, **good, **odd}))
    yield encoded("[" * 50_000)
    yield encoded('{"exp": 9999999999, "a": ' + "[" * 50_000 + "]" * 50_000 + "}")
    yield encoded('{"exp": ' + "9" * 5000 + "}")


def encoded(claims: str) -> str:
    """A token with these claims, as they are."""
    parts = (json.dumps({"alg": "HS256", "typ": "JWT"}), claims, "signature")
    return ".".join(base64.urlsafe_b64encode(each.encode()).decode().rstrip("=") for each in parts)
