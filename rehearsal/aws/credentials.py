"""How a caller proves who it is: the signature of a request names an access key.

The access key, the region and the service are read from the signature. The signature itself is not
verified. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from typing import NamedTuple

from starlette.requests import Request

from rehearsal.aws.permissions import ROLE
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context

SESSIONS = "aws/sessions"
"""The namespace of the sessions, by their access key ids."""
SCOPE = re.compile(r"Credential=([^/,]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


class Signature(NamedTuple):
    """What the signature of a request names."""

    key: str
    region: str
    service: str


def access_key(role_arn: str) -> str:
    """The access key id of a role's temporary credentials, here always the same."""
    return "ASIA" + base32(role_arn)


def workload_environment(context: Context, role_arn: str, region: str) -> dict[str, str]:
    """The variables that AWS gives a workload with this role, and the address of the rehearsed AWS."""
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": access_key(role_arn),
        "AWS_SECRET_ACCESS_KEY": context.account.aws_secret_access_key,
        "AWS_SESSION_TOKEN": f"session-of-{role_arn}",
        "AWS_ENDPOINT_URL": f"{context.base_url}/aws/",
    }


def open_session(context: Context, role: Record, seconds: int) -> tuple[str, float]:
    """The access key id of a new session of a role, and the time when it ends."""
    key, expires = "ASIA" + base32(secrets.token_hex()), time.time() + seconds
    context.kv.put(SESSIONS, key, {"role": role.id, "expires": expires})
    return key, expires


def caller(context: Context, key: str) -> Record | None:
    """The role behind an access key id; None: the deployer. Raises `Refusal` for an unknown or ended one."""
    if key == context.account.aws_access_key_id:
        return None
    if session := context.kv.get(SESSIONS, key):
        if session["expires"] <= time.time():
            # As S3, IAM and STS write it; the services with JSON add `Exception`.
            raise Refusal("ExpiredToken", "The security token included in the request is expired")
        if role := context.get(ROLE, session["role"]):
            return role
    for role in context.all(ROLE):
        if access_key(role.outputs["arn"]) == key:
            return role
    raise Refusal(
        "UnrecognizedClientException", "The security token included in the request is invalid."
    )


def signature(request: Request) -> Signature:
    """The signature in the header, or in the query of a presigned URL."""
    found = SCOPE.search(request.headers.get("authorization", "")) or SCOPE.search(
        f"Credential={request.query_params.get('X-Amz-Credential', '')}"
    )
    if not found:
        raise Refusal("MissingAuthenticationToken", "Request is missing Authentication Token")
    return Signature(*found.groups())


def base32(text: str) -> str:
    """Sixteen characters of the alphabet of AWS's ids."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[byte % 32] for byte in digest[:16])
