"""Discovery: which of the stack's resources exist in the cloud, when no state names them.

`make adopt` needs it for resources whose name ends in digits that Pulumi chose. Whatever has this stack's tags is
listed by `discovered_resources`. A type without tags is searched for inside its parent, by `discovered_children`.
A resource with a fixed name needs no discovery: its id follows from its inputs (`operations.recovery.physical_ids`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from components.resource_type import ArmChildren
from components.resource_types import RESOURCE_TYPES
from config.schema import StackConfig
from operations.engine.resources import Resource
from operations.recovery.discovered_resource import DiscoveredResource, stack_tags
from operations.recovery.queries import aws, azure, gcp


def discovered_resources(
    config: StackConfig, stack: str, account: str, missing: Collection[Resource]
) -> list[DiscoveredResource]:
    """The resources in the account that have this stack's tags.

    ``missing``: what the program would create; of AWS's roles only those are queried. Raises the cloud client's
    own error when the credentials may not list.
    """
    tags = stack_tags(config, stack)
    match config.cloud:
        case "aws":
            region = config.region
            return [*aws.tagged_resources(region, tags), *aws.tagged_roles(region, tags, missing)]
        case "gcp":
            return list(gcp.labelled_resources(account, config.region, tags))
        case "azure":
            return list(azure.tagged_resources(account, tags))


def discovered_children(
    resource: Resource, location: Mapping[str, Any]
) -> list[DiscoveredResource]:
    """What exists inside the parent of this resource, if its type has no tags; empty while the parent is unknown.

    ``location``: ``account`` and ``region``.
    """
    type_, inputs = RESOURCE_TYPES.get(resource["type"]), {**location, **resource["inputs"]}
    try:
        if resource["type"] == aws.ROLE_POLICY:
            return list(aws.role_policies(inputs))
        if type_ and isinstance(type_.search, ArmChildren):
            return list(azure.children(resource["type"], type_.search, inputs))
    except KeyError:  # an input that names the parent
        pass
    return []
