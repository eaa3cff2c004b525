"""Where a secret's value may be; that it is nowhere else, on any cloud."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from api_models.resource import Plan, Resource
from components.resource_types import RESOURCE_TYPES
from config.clouds import PACKAGES
from policy.checks import Check
from policy.plain import SECRET, strings
from policy.rules import SECRETS

STORES = {
    token: type_.secret_paths for token, type_ in RESOURCE_TYPES.items() if type_.secret_paths
}
"""The properties that hold a secret's value, by type. A RandomKey makes its value itself; the state encrypts it."""
MIN_LENGTH = 8
"""A shorter text is found elsewhere by chance, and is no key."""

# Names of environment variables that hold a credential. A name like …_SECRET_ARN holds a reference.
CREDENTIAL_NAME = re.compile(
    r"(?i)(^|_)(key|secret|password|token|credentials?|connection_?string)$"
)


def secret_values(type_: str, properties: Mapping[str, Any]) -> Iterator[str]:
    """The secrets that a resource's properties hold where they may.

    The engine's own marks are not used: the SDK for policy packs removes them (pulumi_policy 1.21,
    deserialize.py), and an SDK also declares labels to be secret (pulumi_gcp: effectiveLabels).
    """
    for path in STORES.get(type_, ()):
        found = Resource(type_, "", "", properties).get(path)
        if isinstance(found, str) and len(found) >= MIN_LENGTH:
            yield found


def may_hold(type_: str, path: str) -> bool:
    """Whether a secret may be at a path, or the whole value there may be marked as one."""
    return any(f"{store}.".startswith(f"{path}.") for store in STORES.get(type_, ()))


def clear_credentials(
    variables: Mapping[str, Any], references: Collection[str] = ()
) -> Iterator[str]:
    """A problem for each variable that is named like a credential and holds no reference."""
    for name, value in variables.items():
        if CREDENTIAL_NAME.search(name) and not str(value).startswith(tuple(references) or "\0"):
            yield f"{name} holds a value in clear text instead of a reference to the secret store"


def secret_outside_store(resource: Resource, _plan: Plan) -> Iterator[str]:
    for path, text in strings(resource.inputs):
        if SECRET in text and not may_hold(resource.type, path):
            yield f"{path} holds a secret"


CHECKS = (
    Check(
        SECRETS,
        (*(f"{package}:*" for package in PACKAGES.values()), "pulumi-python:*"),
        secret_outside_store,
    ),
)
