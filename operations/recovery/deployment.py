"""The parts of a Pulumi state that recovery reads and writes, as ``pulumi stack export`` prints them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from operations.engine.resources import Resource

Deployment = dict[str, Any]
"""What a state has under ``deployment``: ``resources`` and ``pending_operations``."""


def provider_urn(resource: Resource) -> str:
    """The URN of the resource's provider; empty without one."""
    return str(resource.get("provider", "")).rpartition("::")[0]


def with_known_dependencies(resource: Resource, known: Collection[str]) -> Resource:
    """The resource without dependencies that are not in ``known``; the next update writes all of them."""
    return {
        **resource,
        "dependencies": [urn for urn in resource.get("dependencies") or () if urn in known],
        "propertyDependencies": {
            name: [urn for urn in urns or () if urn in known]
            for name, urns in (resource.get("propertyDependencies") or {}).items()
        },
    }
