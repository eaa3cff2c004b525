"""How a caller proves who it is: access tokens, and the headers of the identity endpoint.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import jwt

from rehearsal.azure.resource_type import IDENTITY
from rehearsal.core.records import Json, Record
from rehearsal.provider.context import Context

# Namespaces of the store:
HEADERS = "azure-headers"
"""The ``IDENTITY_HEADER`` of each app."""
CALLERS = "azure-callers"
"""The managed identities behind each header."""
KEYS = "azure-keys"


def deployer_header(context: Context) -> str:
    """The ``IDENTITY_HEADER`` of the deployer."""
    return _secret(context, "engineer")  # names on disk are those of earlier versions


def app_header(context: Context, app: str, identities: list[str]) -> str:
    """The ``IDENTITY_HEADER`` of an app, which gets tokens of these managed identities (their ids)."""
    header: str = context.kv.get(HEADERS, app) or secrets.token_urlsafe(24)
    context.kv.put(HEADERS, app, header)
    context.kv.put(CALLERS, header, identities)
    return header


def delete_app_header(context: Context, app: str) -> None:
    """Delete an app's header: it gets no more tokens."""
    if header := context.kv.get(HEADERS, app):
        context.kv.delete(CALLERS, header)
        context.kv.delete(HEADERS, app)


def identities_of(context: Context, header: str) -> list[Record] | None:
    """The managed identities that an ``IDENTITY_HEADER`` gives tokens of; None: the header is wrong."""
    ids = context.kv.get(CALLERS, header)
    if ids is None:
        return None
    return [record for record in context.all(IDENTITY) if record.id in ids]


def token(context: Context, principal: str, client: str, audience: str) -> tuple[str, int]:
    """An access token, signed by the rehearsal, and the time when it expires."""
    now = int(time.time())
    claims: Json = {
        "aud": audience.removesuffix("/.default").rstrip("/"),
        "iss": f"https://sts.windows.net/{context.account.azure_tenant}/",
        "tid": context.account.azure_tenant,
        "oid": principal,
        "sub": principal,
        "appid": client,
        "ver": "1.0",
        "iat": now,
        "nbf": now - 60,
        "exp": now + context.behaviour.token_seconds(),
    }
    return jwt.encode(claims, _secret(context, "tokens"), algorithm="HS256"), claims["exp"]


def principal_of(context: Context, authorization: str | None, audience: str) -> str | None:
    """The principal of an ``Authorization`` header; None without a valid token for this audience."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        claims: dict[str, Any] = jwt.decode(
            value, _secret(context, "tokens"), algorithms=["HS256"], audience=audience
        )
    except jwt.InvalidTokenError:
        return None
    return str(claims["oid"])


def _secret(context: Context, name: str) -> str:
    """A secret of this rehearsal, created when it is first used."""
    found: str | None = context.kv.get(KEYS, name)
    if found is None:
        found = secrets.token_urlsafe(32)
        context.kv.put(KEYS, name, found)
    return found
