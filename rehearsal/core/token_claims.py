"""The claims of a token of another issuer, whose signature the rehearsal does not verify: its keys are on the internet."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt


class InvalidToken(ValueError):
    """The token is none that a service could read; the message says why."""


def unverified_claims(token: str) -> dict[str, Any]:
    """What the token says. Raises `InvalidToken` unless its times are numbers and an answer could repeat the rest."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        json.dumps(claims, ensure_ascii=False).encode()
    except (jwt.InvalidTokenError, RecursionError, ValueError) as error:
        raise InvalidToken(str(error)) from None
    for name in ("nbf", "exp"):
        # https://www.rfc-editor.org/rfc/rfc7519#section-2: a NumericDate. A token without an end is none of these issuers'.
        if not isinstance(claims.get(name, 0), int | float) or claims.get(name) is True:
            raise InvalidToken(f"its {name} is no number")
    return claims


def is_valid_now(claims: dict[str, Any]) -> bool:
    """Whether the token's time has begun and has not ended."""
    return bool(claims.get("nbf", 0) <= time.time() < claims.get("exp", 0))
