"""The account of this terminal's credentials, as the cloud itself reports it.

A preview reports the account, too (`guards.preview_account_refusals`), but it runs the whole program, and takes ten times
as long.
"""

from __future__ import annotations

import os
from typing import Any

from components.azure import arm
from config.schema import StackConfig
from operations.engine import guards
from operations.engine.stack import Stack
from operations.terminal import waiting

CREDENTIAL_OVERRIDES = frozenset(
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
"""Inputs of AWS's provider that give it other credentials than those that boto3 finds in the environment.
https://www.pulumi.com/registry/packages/aws/api-docs/provider/#inputs"""


def account_refusals(stack: Stack, config: StackConfig) -> list[str]:
    """Reasons to refuse: the stack was created in another account than the current credentials' account."""
    resources = stack.resources()
    recorded = guards.recorded_account(resources)
    if recorded is None:
        return []
    # The clouds' clients read nothing else. Those of `operations.recovery.physical_ids` run after this.
    os.environ.update(stack.environment)
    if any(_overrides_credentials(each) for each in resources):
        return guards.preview_account_refusals(stack.preview_steps("preview"))
    return credential_refusals(config, recorded)


def credential_refusals(config: StackConfig, recorded: str) -> list[str]:
    """Reasons to refuse: the current credentials and settings are of another account than the recorded one."""
    with waiting(f"{config.cloud}, which is asked whose credentials these are"):
        current = current_account(config, recorded)
    if current is None:
        return [
            f"the stack was created in the subscription {recorded}, and these credentials do not see it. Nothing"
            " was changed. Sign in with an account that has a role in it; or choose another stack for the"
            " subscription of these credentials."
        ]
    return guards.different_account_refusals(recorded, current)


def current_account(config: StackConfig, recorded: str) -> str | None:
    """The credentials' AWS account; the settings' project; the recorded subscription, or None if it is not visible."""
    match config.cloud:
        case "aws":
            import boto3

            sts = boto3.client("sts", region_name=config.region)
            return str(sts.get_caller_identity()["Account"])
        case "gcp":
            return str(config.project)
        case "azure":
            # Every id names its subscription. But a subscription that the credentials do not see answers
            # 404, as a deleted resource does.
            visible = arm.get(f"/subscriptions/{recorded}", "2022-12-01")
            return recorded if visible else None


def _overrides_credentials(resource: dict[str, Any]) -> bool:
    is_provider = resource["type"] == "pulumi:providers:aws"
    return is_provider and not CREDENTIAL_OVERRIDES.isdisjoint(resource.get("inputs") or {})
