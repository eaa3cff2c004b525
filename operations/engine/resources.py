"""What a URN, a type token and an exported state say about a resource."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

Resource = dict[str, Any]
"""One of ``resources`` in an exported state."""


def resource_type(urn: str) -> str:
    """The type in a URN: ``aws:s3/bucket:Bucket``."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def resource_name(urn: str) -> str:
    """The name in a URN, which the program gives."""
    return urn.rsplit("::", 1)[-1]


def without_api_version(token: str) -> str:
    """A type without Azure's API version: ``azure-native:storage/v20240101:StorageAccount``."""
    return re.sub(r"^(azure-native:\w+)/v\w+:", r"\1:", token)


def stack_outputs(resources: Iterable[Resource]) -> dict[str, Any]:
    """The stack's outputs among the resources of a state, the secret ones encrypted; none before the first update."""
    stacks = (each for each in resources if each["type"] == "pulumi:pulumi:Stack")
    return next((each.get("outputs") or {} for each in stacks), {})


def is_cloud_resource(urn: str) -> bool:
    """Whether a cloud has it: not a component, a provider or the stack itself."""
    return not resource_type(urn).startswith(("pulumi:", "triplane:"))


def urns_with_dependencies(resources: Sequence[Resource], components: Collection[str]) -> list[str]:
    """URNs of the resources of these components, and of all resources that they depend on.

    ``components`` are names such as ``DataLake``. A destroy that spares a storage account must also spare its
    resource group.
    """
    by_urn = {each["urn"]: each for each in resources}
    remaining = [urn for urn in by_urn if any(_is_part_of(urn, each) for each in components)]
    found: dict[str, None] = {}
    while remaining:
        urn = remaining.pop()
        if urn in by_urn and urn not in found:
            found[urn] = None
            resource = by_urn[urn]
            remaining += [resource.get("parent", ""), *resource.get("dependencies", [])]
            remaining.append(resource.get("provider", "").rpartition("::")[0])
    return list(found)


def _is_part_of(urn: str, component: str) -> bool:
    types = urn.split("::")[2].split("$")
    return any(re.fullmatch(rf"triplane:\w+:{component}", each) for each in types)
