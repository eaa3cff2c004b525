"""Which account the terminal's credentials lead to, asked of the cloud itself.

A preview knows, too (`guards.account`), but it runs the whole program, and takes ten times as long.
"""

from __future__ import annotations

import os
from typing import Any

from config.schema import StackConfig
from operations.engine import guards
from operations.engine.stack import Stack

ABROAD = frozenset(
    (
        "accessKey",
        "assumeRoleWithWebIdentity",
        "assumeRoles",
        "profile",
        "secretKey",
        "sharedConfigFiles",
        "sharedCredentialsFiles",
        "token",
    )
)
"""Inputs of AWS's provider that lead it elsewhere than the environment leads boto3.
https://www.pulumi.com/registry/packages/aws/api-docs/provider/#inputs"""


def another(stack: Stack, config: StackConfig) -> list[str]:
    """Refuse when the stack was made in another account than the one that would now be looked at."""
    resources = stack.resources()
    was = guards.recorded(resources)
    if was is None:
        return []
    # The clouds' clients look nowhere else, those of `operations.recovery.physical_ids` neither.
    os.environ.update(stack.environment)
    if any(_own_credentials(each) for each in resources):
        return guards.account(stack.steps("preview"))
    return guards.elsewhere(was, reached(config, was))


def reached(config: StackConfig, was: str) -> str:
    """The AWS account of the credentials, the settings' project, the subscription if it can be seen."""
    match config.cloud:
        case "aws":
            import boto3

            sts = boto3.client("sts", region_name=config.region)
            return str(sts.get_caller_identity()["Account"])
        case "gcp":
            return str(config.project)
        case "azure":
            from components.azure import arm

            # Every id names its subscription; but one that the credentials do not see answers 404,
            # as a resource does that is gone.
            seen = arm.get(f"/subscriptions/{was}", "2022-12-01")
            return was if seen else "subscriptions without it"


def _own_credentials(resource: dict[str, Any]) -> bool:
    provider = resource["type"] == "pulumi:providers:aws"
    return provider and not ABROAD.isdisjoint(resource.get("inputs") or {})
