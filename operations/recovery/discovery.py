"""What stands in the cloud, by the names and tags that the platform gave it: one function a cloud.

For `make adopt` when no state tells it. Of most names only the beginning is the program's: Pulumi adds
seven or eight hexadecimal digits (https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming). So
whatever carries this stack's tags and has such a name is the one; what carries none is looked for inside
what does. What has a fixed name needs no census: its id follows from its inputs (`operations.recovery.physical_ids`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.resource_type import ArmChildren, LabelledList, TaggedArmType, TaggedArn
from components.resource_types import RESOURCE_TYPES
from config.schema import StackConfig
from config.tags import label_value, platform_tags, tags_as_text
from operations.recovery.physical_ids import Resource

DIGITS = "-?[0-9a-f]{7,8}"
"""What Pulumi adds: a hyphen and seven digits, on Azure eight."""


@dataclass(frozen=True)
class Thing:
    """Something that stands."""

    type: str
    """Pulumi's token of it."""
    name: str
    inside: Mapping[str, str] = field(default_factory=dict)
    """The inputs that say where: its resource group, the thing that it is a part of."""

    def __str__(self) -> str:
        return "/".join((*self.inside.values(), self.name))


def autonamed(resource: Resource) -> str | None:
    """The input that holds a name of Pulumi's making; None if the program chose it."""
    pattern = re.escape(resource["urn"].rsplit("::", 1)[-1]) + DIGITS
    return next(
        (
            name
            for name, value in (resource.get("inputs") or {}).items()
            if isinstance(value, str) and re.fullmatch(pattern, value, re.IGNORECASE)
        ),
        None,
    )


def candidates(resource: Resource, things: Iterable[Thing]) -> list[Thing]:
    """Those that may be this resource: of its type, with its name but for the end, where it is to be."""
    pattern = re.escape(resource["urn"].rsplit("::", 1)[-1]) + DIGITS
    inputs = resource["inputs"]
    return [
        each
        for each in things
        if each.type == resource["type"]
        and re.fullmatch(pattern, each.name, re.IGNORECASE)
        and all(inputs.get(key, value) == value for key, value in each.inside.items())
    ]


def own(config: StackConfig, stack: str) -> dict[str, str]:
    """The tags that this stack's resources carry."""
    tags = platform_tags(config.environment, stack, {})
    if config.cloud == "gcp":
        return {key: label_value(value) for key, value in tags.items()}
    return tags


def carries(tags: Mapping[str, Any] | None, wanted: Mapping[str, str]) -> bool:
    """Whether these tags say that a thing is the stack's."""
    return wanted.items() <= (tags or {}).items()


def standing(
    config: StackConfig, stack: str, account: str, wanted: Collection[Resource]
) -> list[Thing]:
    """What carries this stack's tags. Raises whatever the cloud's client does when it may not be asked."""
    tags = own(config, stack)
    match config.cloud:
        case "aws":
            return [*_aws(config.region, tags), *_aws_roles(config.region, tags, wanted)]
        case "gcp":
            return list(_gcp(account, config.region, tags))
        case "azure":
            return list(_azure(account, tags))


ARNS = {
    token: type_.search.pattern
    for token, type_ in RESOURCE_TYPES.items()
    if isinstance(type_.search, TaggedArn)
}
"""How the ARNs look, without ``arn:aws:``, and where the name is in them."""


def _aws(region: str, tags: Mapping[str, str]) -> Iterator[Thing]:
    """All but IAM's: `GetResources` does not list roles, says
    https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html"""
    import boto3

    client = boto3.client("resourcegroupstaggingapi", region_name=region)
    filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
    for page in client.get_paginator("get_resources").paginate(TagFilters=filters):
        for each in page["ResourceTagMappingList"]:
            arn = each["ResourceARN"].split(":", 2)[2]
            for type_, pattern in ARNS.items():
                if found := re.fullmatch(pattern, arn):
                    yield Thing(type_, found[1])


ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"


def _aws_roles(region: str, tags: Mapping[str, str], wanted: Iterable[Resource]) -> Iterator[Thing]:
    """Roles whose names are wanted; a listing has no tags, so each of them is asked for its own.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
    """
    import boto3

    roles = [each for each in wanted if each["type"] == ROLE]
    if not roles:
        return
    client = boto3.client("iam", region_name=region)
    for page in client.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            thing = Thing(ROLE, role["RoleName"])
            if any(candidates(each, [thing]) for each in roles):
                pages = client.get_paginator("list_role_tags").paginate(RoleName=thing.name)
                found = {each["Key"]: each["Value"] for page in pages for each in page["Tags"]}
                if carries(found, tags):
                    yield thing


def _gcp(project: str, region: str, tags: Mapping[str, str]) -> Iterator[Thing]:
    """What has a name of Pulumi's making, service by service: to list all at once (Cloud Asset Inventory)
    is an API of its own, which the platform does not enable."""
    from google.cloud import storage

    from components.gcp import rest

    in_project = f"projects/{project}"
    for bucket in storage.Client(project=project).list_buckets():
        if carries(bucket.labels, tags):
            yield Thing("gcp:storage/bucket:Bucket", bucket.name)
    urls = {"run": rest.cloud_run_url(), "secretmanager": rest.secret_manager_url()}
    for token, type_ in RESOURCE_TYPES.items():
        search = type_.search
        if not isinstance(search, LabelledList):
            continue
        parent = f"{in_project}/locations/{region}" if search.regional else in_project
        url = f"{urls[search.service]}{parent}/{search.collection}"
        for each in _enabled(rest.listed(url, search.collection)):
            if carries(each.get("labels"), tags):
                yield Thing(token, each["name"].rpartition("/")[2])
    # Accounts take no labels, so the platform describes them by their tags.
    for each in _enabled(rest.listed(f"{rest.iam_url()}{in_project}/serviceAccounts", "accounts")):
        if each.get("description") == tags_as_text(tags):
            yield Thing("gcp:serviceaccount/account:Account", each["email"].partition("@")[0])


def _enabled(found: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What a service lists; nothing, where it was never switched on.

    https://cloud.google.com/apis/docs/troubleshooting#service_disabled
    """
    from components.gcp.rest import GoogleError

    try:
        yield from found
    except GoogleError as error:
        if error.status != 403 or "has not been used in project" not in str(error):
            raise


PULUMI = {
    type_.search.arm_type.lower(): token
    for token, type_ in RESOURCE_TYPES.items()
    if isinstance(type_.search, TaggedArmType)
}
"""Azure's types and Pulumi's. Azure does not mind the case of its own, and answers with several."""
RESOURCES = "2021-04-01"
"""API version of Microsoft.Resources."""


def _azure(subscription: str, tags: Mapping[str, str]) -> Iterator[Thing]:
    """The stack's resource groups, and what lies in them.

    https://learn.microsoft.com/rest/api/resources/resources/list-by-resource-group
    """
    from components.azure import arm

    for group in arm.listed(f"/subscriptions/{subscription}/resourcegroups", RESOURCES):
        if not carries(group.get("tags"), tags):
            continue
        yield Thing("azure-native:resources:ResourceGroup", group["name"])
        for each in arm.listed(f"{group['id']}/resources", RESOURCES):
            type_ = PULUMI.get(each["type"].lower())
            if type_ and carries(each.get("tags"), tags):
                *parent, name = each["name"].split("/")
                where = zip(("workspaceName",), parent, strict=False)
                yield Thing(type_, name, {"resourceGroupName": group["name"], **dict(where)})


def _role_policies(inputs: Mapping[str, Any]) -> Iterator[Thing]:
    import boto3

    role, client = inputs["role"], boto3.client("iam", region_name=inputs["region"])
    for page in client.get_paginator("list_role_policies").paginate(RoleName=role):
        for name in page["PolicyNames"]:
            yield Thing(ROLE_POLICY, name, {"role": role})


def _arm_children(token: str, search: ArmChildren, inputs: Mapping[str, Any]) -> Iterator[Thing]:
    """The parts of a resource of Azure's, which a listing of its group leaves out."""
    from components.azure import arm

    url = f"{search.parent.format_map(inputs)}/{search.collection}"
    for each in arm.listed(url, search.api_version):
        yield Thing(token, each["name"].rpartition("/")[2])


def parts(resource: Resource, around: Mapping[str, Any]) -> list[Thing]:
    """What stands in the thing that this resource is to be a part of; nothing, while that is not known.

    ``around``: ``account`` and ``region``.
    """
    type_, inputs = RESOURCE_TYPES.get(resource["type"]), {**around, **resource["inputs"]}
    try:
        if resource["type"] == ROLE_POLICY:
            return list(_role_policies(inputs))
        if type_ and isinstance(type_.search, ArmChildren):
            return list(_arm_children(resource["type"], type_.search, inputs))
    except KeyError:
        pass
    return []


def key_in_vault(properties: Mapping[str, Any]) -> str:
    """The value of a secret of Key Vault, which the Resource Manager never tells.

    Asks the vault itself as whoever runs Pulumi, who needs a role for it: `ApiKey` gives it to the first
    who deploys. https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
    """
    import requests
    from azure.identity import DefaultAzureCredential

    token = DefaultAzureCredential().get_token("https://vault.azure.net/.default").token
    answer = requests.get(
        properties["secretUri"],
        params={"api-version": "7.4"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    if not answer.ok:
        raise PermissionError(f"{answer.status_code} {answer.text[:500]}")
    return str(json.loads(answer.text)["value"])
