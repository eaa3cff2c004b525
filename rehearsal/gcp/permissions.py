"""What a caller may do: roles, bindings and conditions.

Bindings are looked up at each request. What counts are those in force (`provider.grants`). `require` refuses in the
words of Google's APIs; `allowed` is for the services that have words of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rehearsal.core.records import CheckFailure, Record, Refusal
from rehearsal.gcp import credentials, expressions
from rehearsal.provider.context import Context

CUSTOM_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
PROJECT_BINDING = "gcp:projects/iAMMember:IAMMember"

# The permissions that the rehearsal checks. A role that is not listed grants nothing here.
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
    "roles/iam.serviceAccountAdmin": frozenset({"iam.serviceAccounts.setIamPolicy"}),
    "roles/iam.serviceAccountUser": frozenset(
        f"iam.serviceAccounts.{verb}" for verb in ("actAs", "get", "list")
    ),
    "roles/iam.workloadIdentityUser": frozenset(
        f"iam.serviceAccounts.{verb}" for verb in ("get", "getAccessToken", "getOpenIdToken")
    ),
    "roles/logging.logWriter": frozenset({"logging.logEntries.create"}),
    "roles/aiplatform.user": frozenset({"aiplatform.endpoints.predict"}),
}
MODEL_FOLDERS = "gcp/vertex-accounts"
"""The folder of objects that an account of Vertex AI's own may read: the model that is deployed."""
MODEL_FOLDERS_SINCE = "gcp/vertex-accounts-since"
"""When each got it. Believed: Vertex AI's own grant is as late as another."""


@dataclass(frozen=True)
class Resource:
    """What a permission is checked on: the type of binding that can grant it, and its full name."""

    binding: str
    """Token of the type of binding, besides those on the project."""
    target: str
    """The input of the binding that names the resource."""
    names: tuple[str, ...]
    """Every spelling of the name that a program can write there."""
    full_name: str = ""
    """What a condition calls ``resource.name``. Empty for the services that give conditions no attributes, such as
    Cloud Run, Vertex AI, Artifact Registry and IAM: https://cloud.google.com/iam/docs/conditions-attribute-reference
    That then a condition is false, a negated one too, is believed."""
    type: str = ""
    """What a condition calls ``resource.type``: ``storage.googleapis.com/Object``."""
    list_prefix: str = ""
    """What a condition calls ``storage.googleapis.com/objectListPrefix``."""

    modified_roles: tuple[str, ...] = ()
    """What a condition calls ``iam.googleapis.com/modifiedGrantsByRole``: the roles that are given or taken away.
    https://cloud.google.com/iam/docs/setting-limits-on-granting-roles"""

    @property
    def attributes(self) -> dict[str, Any]:
        """What a condition knows of the request. https://cloud.google.com/iam/docs/conditions-resource-attributes"""
        known: dict[str, Any] = {
            "storage.googleapis.com/objectListPrefix": self.list_prefix,
            "iam.googleapis.com/modifiedGrantsByRole": self.modified_roles,
        }
        if self.full_name:
            service = self.type.partition("/")[0]
            known |= {"resource.name": self.full_name}
            known |= {"resource.type": self.type, "resource.service": service}
        return known


PROJECT = Resource(PROJECT_BINDING, "project", ())
"""A project: only bindings on it count."""


def of_record(
    binding: str, target: str, record: Record, *, full_name: str = "", type: str = ""
) -> Resource:
    """The resource of a record."""
    spellings = (record.id, record.outputs.get("name"), record.outputs.get(target))
    names = tuple(name for name in spellings if name)
    return Resource(binding, target, names, full_name, type)


def allowed(context: Context, email: str, permission: str, on: Resource) -> bool:
    """Whether an account holds a permission on a resource, by a role on it or on its project."""
    if email == credentials.deployer(context):
        return True
    if (folder := context.kv.get(MODEL_FOLDERS, email)) and permission in ROLES[
        "roles/storage.objectViewer"
    ]:
        in_force = context.kv.get(MODEL_FOLDERS_SINCE, email, 0) + context.behaviour.grant_delay(
            "gcp"
        )
        return f"{on.full_name}{on.list_prefix}".startswith(folder) and time.time() >= in_force
    # A token of another issuer has no account: its principal is the member.
    member = email if email.startswith("principal://") else f"serviceAccount:{email}"
    return any(
        binding.inputs.get("member") == member
        and permission in _permissions(context, binding.inputs["role"])
        and _fulfilled(binding.inputs.get("condition"), on)
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


def check_condition(condition: dict[str, Any] | None) -> None:
    """Raise `CheckFailure` for a condition that the rehearsal cannot evaluate."""
    try:
        expressions.check(condition["expression"] if condition else "''")
    except expressions.Unsupported as unsupported:
        raise CheckFailure(
            "condition",
            f"the rehearsal does not evaluate {unsupported}, in {condition}; Google Cloud may take it",
        ) from None


def _fulfilled(condition: dict[str, Any] | None, on: Resource) -> bool:
    return not condition or expressions.holds(condition["expression"], on.attributes)


def _bindings(context: Context, on: Resource) -> Iterator[Record]:
    yield from context.in_force(PROJECT_BINDING)
    if on.binding != PROJECT_BINDING:
        for binding in context.in_force(on.binding):
            if binding.inputs.get(on.target) in on.names:
                yield binding


def _permissions(context: Context, role: str) -> frozenset[str]:
    if role in ROLES:
        return ROLES[role]
    roles = (each for each in context.in_force(CUSTOM_ROLE) if each.outputs["name"] == role)
    custom = next(roles, None)
    return frozenset(custom.inputs["permissions"]) if custom else frozenset()
