"""How a caller proves who it is: it signs its requests with an access key.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import hashlib
import secrets
import time

from rehearsal.aws.permissions import ROLE
from rehearsal.core.access_keys import AccessKey
from rehearsal.core.records import Record
from rehearsal.provider.context import Context
from rehearsal.runtime import sigv4
from rehearsal.runtime.containers import CONTAINERS
from rehearsal.runtime.functions.registry import FUNCTIONS

SESSIONS = "aws/sessions"
"""The namespace of the sessions, by their access key ids."""
FORMER_TOKEN = "session-of-"
"""How the session tokens of a former version begin."""


def access_key(role_arn: str) -> str:
    """The access key id of a role's temporary credentials, here always the same."""
    return "ASIA" + base32(role_arn)


def workload_environment(context: Context, role_arn: str, region: str) -> dict[str, str]:
    """The variables that AWS gives a workload with this role, and the address of the rehearsed AWS."""
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **_variables(context.access_keys.temporary(access_key(role_arn))),
        "AWS_ENDPOINT_URL": f"{context.base_url}/aws/",
    }


def _variables(key: AccessKey) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_SESSION_TOKEN": key.token,
    }


def renew_stored(context: Context) -> None:
    """Give the workloads of a former version this rehearsal's keys. All had one secret, and no signature was verified."""
    for namespace, part in ((FUNCTIONS, "platform_env"), (CONTAINERS, "env")):
        for name, stored in context.kv.items(namespace).items():
            variables = stored[part]
            if variables.get("AWS_SESSION_TOKEN", "").startswith(FORMER_TOKEN):
                key = context.access_keys.temporary(variables["AWS_ACCESS_KEY_ID"])
                renewed = {**stored, part: {**variables, **_variables(key)}}
                context.kv.put(namespace, name, renewed)


def open_session(context: Context, role: Record, seconds: int) -> tuple[AccessKey, float]:
    """The key of a new session of a role, and the time when it ends."""
    id, expires = "ASIA" + base32(secrets.token_hex()), time.time() + seconds
    context.kv.put(SESSIONS, id, {"role": role.id, "expires": expires})
    return context.access_keys.temporary(id), expires


def caller(context: Context, id: str, family: sigv4.Family) -> tuple[AccessKey, Record | None]:
    """The key with this id, and its role; None: the deployer. Raises `Refusal` for an unknown or ended one."""
    if id == context.access_keys.deployer.id:
        return context.access_keys.deployer, None
    key = context.access_keys.temporary(id)
    if session := context.kv.get(SESSIONS, id):
        if session["expires"] <= time.time():
            raise sigv4.SignatureRefused(*family.ended_session)
        if role := context.get(ROLE, session["role"]):
            return key, role
    for role in context.all(ROLE):
        if access_key(role.outputs["arn"]) == id:
            return key, role
    raise sigv4.SignatureRefused(*family.unknown_key)


def base32(text: str) -> str:
    """Sixteen characters of the alphabet of AWS's ids."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[byte % 32] for byte in digest[:16])
