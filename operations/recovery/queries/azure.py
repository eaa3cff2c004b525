"""What recovery queries from Azure: the stack's resource groups and what is in them, and the gateway's key.

Nothing here changes anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from components.azure import arm
from components.azure.resource_types import RESOURCE_TYPES
from components.resource_type import ArmChildren, TaggedArmType
from operations.recovery.discovered_resource import DiscoveredResource, has_tags

RESOURCE_GROUP = "azure-native:resources:ResourceGroup"
TOKENS = {
    type_.search.arm_type.lower(): token
    for token, type_ in RESOURCE_TYPES.items()
    if isinstance(type_.search, TaggedArmType)
}
"""Pulumi's tokens by Azure's types, in lower case: Azure ignores the case, and answers with several."""
RESOURCES_API = "2021-04-01"
"""API version of Microsoft.Resources."""


def tagged_resources(subscription: str, tags: Mapping[str, str]) -> Iterator[DiscoveredResource]:
    """The resource groups of the subscription with these tags, and the tagged resources in them.

    https://learn.microsoft.com/rest/api/resources/resources/list-by-resource-group
    """
    for group in arm.listed(f"/subscriptions/{subscription}/resourcegroups", RESOURCES_API):
        if has_tags(group.get("tags"), tags):
            yield DiscoveredResource(RESOURCE_GROUP, group["name"])
            yield from _tagged_resources_in(group, tags)


def _tagged_resources_in(
    group: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[DiscoveredResource]:
    for each in arm.listed(f"{group['id']}/resources", RESOURCES_API):
        token = TOKENS.get(each["type"].lower())
        if token and has_tags(each.get("tags"), tags):
            *parent, name = each["name"].split("/")
            parents = dict(zip(("workspaceName",), parent, strict=False))
            yield DiscoveredResource(token, name, {"resourceGroupName": group["name"], **parents})


def children(
    token: str, search: ArmChildren, inputs: Mapping[str, Any]
) -> Iterator[DiscoveredResource]:
    """The parts of the resource that these inputs name. The list of a resource group leaves them out."""
    url = f"{search.parent.format_map(inputs)}/{search.collection}"
    for each in arm.listed(url, search.api_version):
        yield DiscoveredResource(token, each["name"].rpartition("/")[2])


def secret_value(properties: Mapping[str, Any]) -> str:
    """The value of a secret in Key Vault, which the Resource Manager does not return.

    Queries the vault as the user who runs Pulumi, who needs a role for it: `ApiKey` gives it to the initial
    deployer. https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
    """
    import requests
    from azure.identity import DefaultAzureCredential

    with DefaultAzureCredential() as credential:
        token = credential.get_token("https://vault.azure.net/.default").token
    answer = requests.get(
        properties["secretUri"],
        params={"api-version": "7.4"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    if not answer.ok:
        raise PermissionError(f"{answer.status_code} {answer.text[:500]}")
    return str(json.loads(answer.text)["value"])
