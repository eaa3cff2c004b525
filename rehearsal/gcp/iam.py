"""Who asks, and whether they may: tokens, roles, bindings and conditions.

The engineer, whose key ``environment`` hands out, may do everything, as a project's owner. A workload
acts as its service account, by a token of the metadata server, and may do what the bindings in the
rehearsal grant it. Bindings are looked up when they are needed, so that one taken away bites at once.
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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import google.auth.exceptions
import google.auth.jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rehearsal.core.records import CheckFailure, Refusal

if TYPE_CHECKING:
    from rehearsal.core.records import Record
    from rehearsal.provider.context import Context

ACCOUNT = "gcp:serviceaccount/account:Account"
CUSTOM_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
SERVICE = "gcp:projects/service:Service"
TOKEN_SECONDS = 3600
AGENT = re.compile(
    r"service-\d+@(gcp-sa-[a-z0-9-]+|serverless-robot-prod)\.iam\.gserviceaccount\.com"
)

# The permissions that something here asks for; a role that is not listed grants nothing here.
# https://cloud.google.com/iam/docs/roles-permissions
ROLES: dict[str, frozenset[str]] = {
    "roles/storage.objectViewer": frozenset({"storage.objects.get", "storage.objects.list"}),
    "roles/storage.objectCreator": frozenset({"storage.objects.create"}),
    "roles/storage.objectUser": frozenset(
        f"storage.objects.{verb}" for verb in ("get", "list", "create", "delete", "update")
    ),
    "roles/artifactregistry.reader": frozenset({"artifactregistry.repositories.downloadArtifacts"}),
    "roles/artifactregistry.writer": frozenset(
        {
            "artifactregistry.repositories.downloadArtifacts",
            "artifactregistry.repositories.uploadArtifacts",
        }
    ),
    "roles/secretmanager.secretAccessor": frozenset({"secretmanager.versions.access"}),
    "roles/logging.logWriter": frozenset({"logging.logEntries.create"}),
    "roles/aiplatform.user": frozenset({"aiplatform.endpoints.predict"}),
}


@dataclass(frozen=True)
class Resource:
    """What a permission is asked for: the kind of binding that may grant it, and its full name."""

    binding: str
    """Token of the IAM member type beside ``gcp:projects/iAMMember:IAMMember``."""
    handle: str
    """The binding's input that names the thing."""
    names: tuple[str, ...]
    """Every spelling of it that a program may have written there."""
    full_name: str = ""
    """What a condition calls ``resource.name``."""
    list_prefix: str = ""
    """What a condition calls ``storage.googleapis.com/objectListPrefix``."""


def stored(bucket: str, name: str = "", prefix: str = "") -> Resource:
    """An object of a bucket; without a name the bucket, as when it is listed."""
    full_name = f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name else "")
    binding = "gcp:storage/bucketIAMMember:BucketIAMMember"
    return Resource(binding, "bucket", (bucket, f"b/{bucket}"), full_name, prefix)


def of_record(binding: str, handle: str, record: Record) -> Resource:
    """Something that a record stands for."""
    spellings = (record.id, record.outputs.get("name"), record.outputs.get(handle))
    return Resource(binding, handle, tuple(name for name in spellings if name), record.id)


def repository(record: Record) -> Resource:
    """An Artifact Registry repository."""
    token = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    return of_record(token, "repository", record)


def endpoint(record: Record) -> Resource:
    """A Vertex AI endpoint."""
    return of_record("gcp:vertex/aiEndpointIamMember:AiEndpointIamMember", "endpoint", record)


def secret(record: Record) -> Resource:
    """A secret of Secret Manager."""
    token = "gcp:secretmanager/secretIamMember:SecretIamMember"
    return of_record(token, "secretId", record)


def engineer(context: Context) -> str:
    """The e-mail of the account whose key the engineer holds."""
    return f"engineer@{context.account.gcp_project}.iam.gserviceaccount.com"


def allowed(context: Context, email: str, permission: str, on: Resource) -> bool:
    """Whether an account holds a permission on a thing, by a role on it or on its project."""
    if email == engineer(context):
        return True
    member = f"serviceAccount:{email}"
    return any(
        binding.inputs.get("member") == member
        and permission in _permissions(context, binding.inputs["role"])
        and _holds(binding.inputs.get("condition"), on)
        for binding in _bindings(context, on)
    )


def require(context: Context, email: str, permission: str, on: Resource, what: str) -> None:
    """Raise Google's refusal unless the account holds the permission."""
    if not allowed(context, email, permission, on):
        raise Refusal(
            "PERMISSION_DENIED",
            f"Permission '{permission}' denied on resource '{what}' (or it may not exist)."
            f" The caller is {email}.",
        )


def require_api(context: Context, project: str, api: str) -> None:
    """Raise Google's refusal unless the API is enabled in the project."""
    for record in context.all(SERVICE):
        if record.inputs["service"] == api and record.outputs.get("project") in (None, project):
            return
    url = f"https://console.developers.google.com/apis/api/{api}/overview?project={project}"
    raise Refusal(
        "PERMISSION_DENIED",
        f"{api} has not been used in project {project} before or it is disabled. Enable it by"
        f" visiting {url} then retry. If you enabled this API recently, wait a few minutes for the"
        " action to propagate to our systems and retry.",
    )


def account_exists(context: Context, email: str) -> bool:
    """Whether this is a service account, one of Google's agents, or the engineer."""
    return (
        email == engineer(context)
        or context.find(ACCOUNT, email=email) is not None
        or AGENT.fullmatch(email) is not None
    )


def check_condition(condition: dict[str, Any] | None) -> None:
    """Raise `CheckFailure` for a condition that the rehearsal cannot judge."""
    for term in _terms(condition):
        if not TERM.fullmatch(term):
            raise CheckFailure(
                "condition",
                f"the rehearsal judges only `startsWith` on resource.name and objectListPrefix, not"
                f" {term!r}; Google Cloud may take it",
            )


TERM = re.compile(
    r"""(?P<subject>resource\.name
        |api\.getAttribute\(["']storage\.googleapis\.com/objectListPrefix["'],\s*["']["']\))
        \.startsWith\(["'](?P<prefix>[^"']*)["']\)""",
    re.VERBOSE,
)


def _terms(condition: dict[str, Any] | None) -> list[str]:
    return [t.strip() for t in condition["expression"].split("||")] if condition else []


def _holds(condition: dict[str, Any] | None, on: Resource) -> bool:
    if not condition:
        return True
    for term in _terms(condition):
        match = TERM.fullmatch(term)
        if match:
            named = match["subject"] == "resource.name"
            subject = on.full_name if named else on.list_prefix
            if subject.startswith(match["prefix"]):
                return True
    return False


def _bindings(context: Context, on: Resource) -> Iterator[Record]:
    yield from context.all("gcp:projects/iAMMember:IAMMember")
    for binding in context.all(on.binding):
        if binding.inputs.get(on.handle) in on.names:
            yield binding


def _permissions(context: Context, role: str) -> frozenset[str]:
    if role in ROLES:
        return ROLES[role]
    custom = context.find(CUSTOM_ROLE, name=role)
    return frozenset(custom.inputs["permissions"]) if custom else frozenset()


# Tokens: signed, so that nothing need be kept of them.


def token(context: Context, email: str) -> dict[str, Any]:
    """A new access token for an account, as Google's token endpoints answer it."""
    claims = json.dumps({"email": email, "exp": int(time.time()) + TOKEN_SECONDS})
    body = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
    signed = f"ya29.{body}.{_signature(context, body)}"
    return {"access_token": signed, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}


def caller(context: Context, authorization: str) -> str:
    """Whose token this is. Raises Google's refusal for none, a false or an old one."""
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
    raise Refusal(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie"
        " or other valid authentication credential. See"
        " https://developers.google.com/identity/sign-in/web/devconsole-project.",
    )


def assertion(context: Context, signed: str, audience: str | None) -> str:
    """Whose self-signed JWT this is: the engineer's, for nobody else has a key.

    Raises ValueError or GoogleAuthError for a false or an old one.
    """
    _, public = engineer_key(context)
    claims = google.auth.jwt.decode(  # type: ignore[no-untyped-call]
        signed, certs=public, audience=audience
    )
    return str(claims["iss"])


def _signature(context: Context, body: str) -> str:
    key = context.kv.get("gcp/keys", "tokens")
    if key is None:
        key = secrets.token_hex(32)
        context.kv.put("gcp/keys", "tokens", key)
    return hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()


def engineer_key(context: Context) -> tuple[str, str]:
    """The engineer's key pair, private and public, as PEM: made once."""
    pair = context.kv.get("gcp/keys", "engineer")
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
        context.kv.put("gcp/keys", "engineer", pair)
    return pair[0], pair[1]
