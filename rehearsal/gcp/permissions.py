"""What a caller may do: roles, bindings and conditions.

Bindings are looked up at each request. What counts are those in force (`provider.grants`). `require` refuses in the
words of Google's APIs; `allowed` is for the services that have words of their own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rehearsal.core.records import CheckFailure, Record, Refusal
from rehearsal.gcp import credentials
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
    "roles/logging.logWriter": frozenset({"logging.logEntries.create"}),
    "roles/aiplatform.user": frozenset({"aiplatform.endpoints.predict"}),
}
FOLDERS = "gcp/vertex-accounts"
"""The folder of objects that an account of Vertex AI's own may read: the model that is deployed."""
FOLDERS_SINCE = "gcp/vertex-accounts-since"
"""When each got it. Believed: Vertex AI's own grant is as late as another."""
TERM = re.compile(
    r"""(?P<subject>resource\.name
        |api\.getAttribute\(["']storage\.googleapis\.com/objectListPrefix["'],\s*["']["']\))
        \.startsWith\(["'](?P<prefix>[^"']*)["']\)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Resource:
    """What a permission is checked on: the type of binding that can grant it, and its full name."""

    binding: str
    """Token of the type of binding, besides those on the project."""
    property: str
    """The input of the binding that names the resource."""
    names: tuple[str, ...]
    """Every spelling of the name that a program can write there."""
    full_name: str = ""
    """What a condition calls ``resource.name``."""
    list_prefix: str = ""
    """What a condition calls ``storage.googleapis.com/objectListPrefix``."""


def of_record(binding: str, property: str, record: Record) -> Resource:
    """The resource of a record."""
    spellings = (record.id, record.outputs.get("name"), record.outputs.get(property))
    return Resource(binding, property, tuple(name for name in spellings if name), record.id)


def allowed(context: Context, email: str, permission: str, on: Resource) -> bool:
    """Whether an account holds a permission on a resource, by a role on it or on its project."""
    if email == credentials.deployer(context):
        return True
    if (folder := context.kv.get(FOLDERS, email)) and permission in ROLES[
        "roles/storage.objectViewer"
    ]:
        in_force = context.kv.get(FOLDERS_SINCE, email, 0) + context.behaviour.grant_delay("gcp")
        return f"{on.full_name}{on.list_prefix}".startswith(folder) and time.time() >= in_force
    member = f"serviceAccount:{email}"
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
    for term in _terms(condition):
        if not TERM.fullmatch(term):
            raise CheckFailure(
                "condition",
                f"the rehearsal evaluates only `startsWith` on resource.name and objectListPrefix, not"
                f" {term!r}; Google Cloud may take it",
            )


def _terms(condition: dict[str, Any] | None) -> list[str]:
    return [t.strip() for t in condition["expression"].split("||")] if condition else []


def _fulfilled(condition: dict[str, Any] | None, on: Resource) -> bool:
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
    yield from context.in_force(PROJECT_BINDING)
    for binding in context.in_force(on.binding):
        if binding.inputs.get(on.property) in on.names:
            yield binding


def _permissions(context: Context, role: str) -> frozenset[str]:
    if role in ROLES:
        return ROLES[role]
    roles = (each for each in context.in_force(CUSTOM_ROLE) if each.outputs["name"] == role)
    custom = next(roles, None)
    return frozenset(custom.inputs["permissions"]) if custom else frozenset()
