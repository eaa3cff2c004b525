"""Where a secret's value may stand; that it stands nowhere else, on any cloud."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from policy import rules
from policy.record import SECRET, Plan, Resource, strings

STORES = {
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretString", "secretBinary"),
    "azure-native:keyvault:Secret": ("properties.value",),
    "gcp:secretmanager/secretVersion:SecretVersion": ("secretData",),
    "pulumi-python:dynamic/triplane:RandomKey": ("value",),
}
"""The properties that hold a secret's value, by type. A RandomKey's is made by it, and is in the encrypted state."""
LEAST = 8
"""A text shorter than this is found by chance, and is no key."""

# Environment variables that hold a credential, by their names; …_SECRET_ARN and the like only name one.
CREDENTIAL_NAME = re.compile(
    r"(?i)(^|_)(key|secret|password|token|credentials?|connection_?string)$"
)


def values(type_: str, properties: Mapping[str, Any]) -> Iterator[str]:
    """The secrets that a resource's properties hold where they may.

    Not what the engine marks besides: the SDK that policy packs are written with takes its marks off
    (pulumi_policy 1.21, deserialize.py), and what an SDK declares to be secret are also labels
    (pulumi_gcp: effectiveLabels).
    """
    for path in STORES.get(type_, ()):
        found = Resource(type_, "", "", properties).get(path)
        if isinstance(found, str) and len(found) >= LEAST:
            yield found


def may_hold(type_: str, path: str) -> bool:
    """Whether a secret may stand at a path, or the whole of what is there be marked as one."""
    return any(f"{store}.".startswith(f"{path}.") for store in STORES.get(type_, ()))


def clear(names: Mapping[str, Any], references: Collection[str] = ()) -> Iterator[str]:
    """Complaints for variables named like a credential that hold something else than a reference."""
    for name, value in names.items():
        if CREDENTIAL_NAME.search(name) and not str(value).startswith(tuple(references) or "\0"):
            yield f"{name} holds a value in clear instead of a reference to the secret store"


@rules.SECRETS.on("aws:*", "azure-native:*", "gcp:*", "pulumi-python:*")
def _nowhere_else(resource: Resource, _plan: Plan) -> Iterator[str]:
    for path, text in strings(resource.inputs):
        if SECRET in text and not may_hold(resource.type, path):
            yield f"{path} holds a secret"
