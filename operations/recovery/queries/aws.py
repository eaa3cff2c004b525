"""What recovery queries from AWS: the stack's resources by their tags, inline policies, and ids of secrets.

boto3 uses the terminal's credentials. Nothing here changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.aws.resource_types import RESOURCE_TYPES
from components.resource_type import Facts, TaggedArn
from operations.engine.resources import Resource
from operations.recovery.discovered_resource import (
    DiscoveredResource,
    has_tags,
    matching_resources,
)
from operations.recovery.refusals import secret_unreadable

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ARN_PATTERNS = {
    token: type_.search.pattern
    for token, type_ in RESOURCE_TYPES.items()
    if isinstance(type_.search, TaggedArn)
}


def tagged_resources(region: str, tags: Mapping[str, str]) -> Iterator[DiscoveredResource]:
    """Everything in the region with these tags, except roles, which ``GetResources`` does not list:
    https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
    """
    import boto3

    client = boto3.client("resourcegroupstaggingapi", region_name=region)
    filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
    for page in client.get_paginator("get_resources").paginate(TagFilters=filters):
        for each in page["ResourceTagMappingList"]:
            arn = each["ResourceARN"].split(":", 2)[2]
            for token, pattern in ARN_PATTERNS.items():
                if found := re.fullmatch(pattern, arn):
                    yield DiscoveredResource(token, found[1])


def tagged_roles(
    region: str, tags: Mapping[str, str], missing: Iterable[Resource]
) -> Iterator[DiscoveredResource]:
    """The roles with these tags whose name may be that of a missing role.

    The list of roles has no tags, so those of each such role are queried:
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
    """
    import boto3

    missing_roles = [each for each in missing if each["type"] == ROLE]
    if not missing_roles:
        return
    client = boto3.client("iam", region_name=region)
    for page in client.get_paginator("list_roles").paginate():
        for each in page["Roles"]:
            role = DiscoveredResource(ROLE, each["RoleName"])
            if any(matching_resources(one, [role]) for one in missing_roles):
                pages = client.get_paginator("list_role_tags").paginate(RoleName=role.name)
                role_tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
                if has_tags(role_tags, tags):
                    yield role


def role_policies(inputs: Mapping[str, Any]) -> Iterator[DiscoveredResource]:
    """The inline policies of the role that these inputs of a policy name. They have no tags."""
    import boto3

    role, client = inputs["role"], boto3.client("iam", region_name=inputs["region"])
    for page in client.get_paginator("list_role_policies").paginate(RoleName=role):
        for name in page["PolicyNames"]:
            yield DiscoveredResource(ROLE_POLICY, name, {"role": role})


def secret_id(facts: Facts) -> str | None:
    """The ARN of the secret: it ends in six characters that AWS chooses."""
    secret = _describe_secret(facts["region"], facts["name"], facts.get("account"))
    return secret["ARN"] if secret else None


def secret_version_id(facts: Facts) -> str | None:
    """The id of the secret's current version: AWS chooses it, and only this stack writes versions."""
    secret = _describe_secret(facts["region"], facts["secretId"], facts.get("account"))
    stages = (secret or {}).get("VersionIdsToStages", {})
    current = next((id_ for id_, names in stages.items() if "AWSCURRENT" in names), None)
    return f"{secret['ARN']}|{current}" if secret and current else None


def _describe_secret(region: str, secret: str, account: str | None) -> dict[str, Any] | None:
    """What AWS returns about a secret; None if there is none. Leaves if AWS refuses to answer.

    With `aws:profile` or `aws:assumeRoles` in the settings the provider uses other credentials than the
    terminal, and the secret can be in their account.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        sts = boto3.client("sts", region_name=region)
        own_account = sts.get_caller_identity()["Account"] if account else None
        if own_account == account:
            client = boto3.client("secretsmanager", region_name=region)
            return dict(client.describe_secret(SecretId=secret))
        reason = f"the stack is in account {account}, and the terminal's credentials lead to {own_account}"
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        reason = str(error)
    except BotoCoreError as error:
        reason = str(error)
    permission = "secretsmanager:DescribeSecret (AWS_PROFILE=…, if the settings name a profile)"
    raise SystemExit(secret_unreadable(secret, reason, permission))
