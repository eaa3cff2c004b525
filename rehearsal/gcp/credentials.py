"""How a caller proves who it is: signed access tokens, and the deployer's key.

The deployer, whose key `profile.environment` writes to a file, may do everything, as a project's owner. A
workload acts as its service account, by a token of the metadata server.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import time
from typing import Any

import google.auth.exceptions
import google.auth.jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rehearsal.core.records import Refusal
from rehearsal.provider.context import Context
from rehearsal.runtime.containers import CONTAINERS

KEYS = "gcp/keys"
"""The namespace of the keys."""
DEPLOYER = "engineer"
"""Of the deployer's account and stored key. Names on disk are those of earlier versions."""


def deployer(context: Context) -> str:
    """The e-mail of the account whose key the deployer has."""
    return f"{DEPLOYER}@{context.account.gcp_project}.iam.gserviceaccount.com"


def deployer_key(context: Context) -> tuple[str, str]:
    """The deployer's key pair, private and public, as PEM. It is created once."""
    pair = context.kv.get(KEYS, DEPLOYER)
    if pair is None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        pair = [private.decode(), public.decode()]
        context.kv.put(KEYS, DEPLOYER, pair)
    return pair[0], pair[1]


def token(context: Context, email: str) -> dict[str, Any]:
    """A new access token for an account, as Google's token endpoints return it."""
    seconds = context.behaviour.token_seconds()
    claims = json.dumps({"email": email, "exp": int(time.time()) + seconds})
    body = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
    signed = f"ya29.{body}.{_signature(context, body)}"
    return {"access_token": signed, "expires_in": seconds, "token_type": "Bearer"}


def caller(context: Context, authorization: str) -> str:
    """The account of a token. Raises Google's refusal for a missing, forged or expired one."""
    _, _, signed = authorization.partition("Bearer ")
    parts = signed.split(".")
    if parts[0] != "ya29":
        # Google's generated clients send a JWT signed by the service account's own key:
        # https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth
        with contextlib.suppress(ValueError, google.auth.exceptions.GoogleAuthError):
            return assertion(context, signed, audience=None)
    elif len(parts) == 3 and hmac.compare_digest(parts[2], _signature(context, parts[1])):
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        if claims["exp"] > time.time():
            return str(claims["email"])
    raise _unauthenticated()


def assertion(context: Context, signed: str, audience: str | None) -> str:
    """The account of a self-signed JWT: the deployer's, as no other account has a key.

    Raises ValueError or GoogleAuthError for a forged or expired one.
    """
    _, public = deployer_key(context)
    claims = google.auth.jwt.decode(  # type: ignore[no-untyped-call]
        signed, certs=public, audience=audience
    )
    return str(claims["iss"])


def workload_environment(context: Context, email: str) -> dict[str, str]:
    """The variables that make Google's clients act as this service account."""
    address = account_address(context, email)
    here = context.base_url.removeprefix("http://")
    return {
        "GCE_METADATA_HOST": f"{here}{address}",
        "GCE_METADATA_IP": f"{here}{address}",
        "STORAGE_EMULATOR_HOST": f"{context.base_url}{address}",
        "GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT": f"{context.base_url}/gcp/secretmanager/v1/",
    }


def account_address(context: Context, email: str) -> str:
    """The path below which an account's clients find their metadata server and Cloud Storage.

    Google knows a workload by its machine, and the storage client sends no token to an emulator. So the address has a
    secret, as Azure's ``IDENTITY_HEADER`` is one: without it, whoever reaches loopback could act as each account.
    """
    return f"/gcp/as/{email}/{_signature(context, f'address of {email}')}"


def account_at(context: Context, email: str, secret: str) -> str:
    """The account of an address (`account_address`). Raises Google's refusal for a wrong secret."""
    wanted = _signature(context, f"address of {email}")
    if not hmac.compare_digest(secret.encode(), wanted.encode()):
        raise _unauthenticated()
    return email


def renew_stored(context: Context) -> None:
    """Give the containers of a former version addresses with a secret. Theirs named the account alone."""
    former = re.compile(rf"{re.escape(context.base_url.removeprefix('http://'))}/gcp/as/([^/]+)")
    for name, stored in context.kv.items(CONTAINERS).items():
        if found := former.fullmatch(stored["env"].get("GCE_METADATA_HOST", "")):
            env = {**stored["env"], **workload_environment(context, found[1])}
            context.kv.put(CONTAINERS, name, {**stored, "env": env})


def _unauthenticated() -> Refusal:
    return Refusal(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie"
        " or other valid authentication credential. See"
        " https://developers.google.com/identity/sign-in/web/devconsole-project.",
    )


def _signature(context: Context, body: str) -> str:
    key = context.kv.get(KEYS, "tokens")
    if key is None:
        key = secrets.token_hex(32)
        context.kv.put(KEYS, "tokens", key)
    return hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()
