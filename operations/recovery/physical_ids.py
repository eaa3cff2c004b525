"""The id that a cloud gives a resource, worked out from what the engine asked for.

The ids are those that each provider documents for ``pulumi import``; the platform's own dynamic resources
have those that their providers give. A type without one here is never looked for: another is made.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable
from typing import Any

from components.resource_types import RESOURCE_TYPES

Resource = dict[str, Any]
Facts = ChainMap[str, Any]
"""A resource's inputs, then ``account``, ``region`` and ``partition``."""


def _aws_secret(facts: Facts) -> str | None:
    """Its ARN ends in six characters that AWS chooses."""
    described = _describe_secret(facts["region"], facts["name"], facts.get("account"))
    return described["ARN"] if described else None


def _aws_secret_version(facts: Facts) -> str | None:
    """The one in force: AWS chooses its id, and no one but this stack writes it."""
    described = _describe_secret(facts["region"], facts["secretId"], facts.get("account"))
    stages = (described or {}).get("VersionIdsToStages", {})
    current = next((id_ for id_, names in stages.items() if "AWSCURRENT" in names), None)
    return f"{described['ARN']}|{current}" if described and current else None


def _describe_secret(region: str, secret: str, account: str | None = None) -> dict[str, Any] | None:
    """What AWS knows of a secret; None if there is none. Leaves when that cannot be told.

    boto3 asks with the terminal's credentials. With `aws:profile` or `aws:assumeRoles` in the settings the
    provider's lead elsewhere, where the secret may well be.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        sts = boto3.client("sts", region_name=region)
        here = sts.get_caller_identity()["Account"] if account else None
        if here == account:
            client = boto3.client("secretsmanager", region_name=region)
            return dict(client.describe_secret(SecretId=secret))
        why = f"the stack is in account {account}, and the terminal's credentials lead to {here}"
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        why = str(error)
    except BotoCoreError as error:
        why = str(error)
    raise SystemExit(
        _untold(
            secret,
            why,
            "secretsmanager:DescribeSecret (AWS_PROFILE=…, if the settings name a profile)",
        )
    )


def _untold(secret: str, why: str, leave: str) -> str:
    return (
        f"Refused: whether the secret {secret} stands cannot be told:"
        f" {why}. Nothing was changed. Sign the terminal in to the stack's account, with leave to"
        f" {leave}, and run the same command again; after a run that was cut short, to go on without"
        " knowing, so that it may be made twice: ALLOW=unseen"
    )


def _gcp_secret_version(facts: Facts) -> str | None:
    """The next one if the state has any, for versions are counted; else the one in force."""
    if facts["next"] > 1:
        return "{secret}/versions/{next}".format_map(facts)
    from components.gcp import rest

    secret = facts["secret"]
    try:
        found = list(rest.listed(f"{rest.secret_manager_url()}{secret}/versions", "versions"))
    except rest.GoogleError as error:
        if error.status == 404:
            return None
        raise SystemExit(_untold(secret, str(error), "secretmanager.versions.list")) from None
    numbers = [int(each["name"].rpartition("/")[2]) for each in found if each["state"] == "ENABLED"]
    return f"{secret}/versions/{max(numbers)}" if numbers else None


QUERIES: dict[str, Callable[[Facts], str | None]] = {
    "aws:secretsmanager/secret:Secret": _aws_secret,
    "aws:secretsmanager/secretVersion:SecretVersion": _aws_secret_version,
    # Only this stack makes versions of it.
    "gcp:secretmanager/secretVersion:SecretVersion": _gcp_secret_version,
}
"""The types whose id does not follow from the inputs, and is queried; None: there is no such resource."""
NOT_IMPORTABLE = frozenset(token for token, type_ in RESOURCE_TYPES.items() if not type_.importable)
"""The types that have no import, and are read again by their inputs."""


def _partition(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    groups = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((groups[each] for each in groups if region.startswith(each)), "aws")


def physical_id(resource: Resource, resources: Iterable[Resource]) -> str | None:
    """The id that the cloud gave this resource, if it made it; None: it does not follow from the inputs."""
    type_ = RESOURCE_TYPES.get(resource["type"])
    template = QUERIES.get(resource["type"]) or (type_.import_id if type_ else None)
    if template is None:
        return None
    resources = list(resources)
    inputs, around = resource["inputs"], {"next": 1, **facts(resource, resources)}
    if secret := inputs.get("secret"):
        last = (
            int(each["id"].rpartition("/")[2])
            for each in resources
            if each["type"] == resource["type"] and each["inputs"].get("secret") == secret
        )
        around["next"] = 1 + max(last, default=0)
    known = Facts(inputs, around)
    try:
        return template(known) if callable(template) else template.format_map(known)
    except KeyError:
        return None


def facts(resource: Resource, resources: Iterable[Resource]) -> dict[str, Any]:
    """``account``, ``region`` and ``partition``, as far as these resources tell them for this one."""
    resources = list(resources)
    accounts = (
        each["inputs"]["account"]
        for each in resources
        if each["type"].endswith(":Foundation") and "account" in (each.get("inputs") or {})
    )
    provider = resource.get("provider", "").rpartition("::")[0]
    regions = (each["inputs"].get("region") for each in resources if each["urn"] == provider)
    region = next(regions, None)
    around = {"account": next(accounts, None), "region": region}
    around["partition"] = _partition(region or "")
    return {name: value for name, value in around.items() if value}
