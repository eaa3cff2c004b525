"""A workload's log: a group of its own, which its role may write to, and no other."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.foundation import Foundation
from components.aws.policies import allow, policy

LOG_DAYS = 30
WRITE = ("logs:CreateLogStream", "logs:PutLogEvents")


def create_log_group(
    name: str,
    foundation: Foundation,
    identity: contracts.Identity,
    parent: pulumi.Resource,
    *,
    group_name: str | None = None,
    actions: Sequence[str] = WRITE,
) -> tuple[pulumi.Output[str], pulumi.Resource]:
    """The name of a new log group, and the permission to write there, for the workload to depend on.

    Created before the workload: otherwise the service creates a group of its own and keeps it forever.
    ``group_name``: for a service that chooses the group's name itself.
    """
    child = pulumi.ResourceOptions(parent=parent)
    group = aws.cloudwatch.LogGroup(
        f"{name}-logs",
        name=group_name,
        retention_in_days=LOG_DAYS,
        tags=foundation.tags,
        # Two groups have two names, so the new one can come first. The provider would delete first whatever has a name
        # that the program gives, and with the group all that depends on it, the endpoint among it.
        # https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/provider.go
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=False),
    )
    log_permission = aws.iam.RolePolicy(
        f"{name}-may-log",
        role=identity.principal.apply(lambda arn: arn.rpartition("/")[2]),
        policy=policy(
            allow(
                actions,
                pulumi.Output.format("{}:*", group.arn),
            )
        ),
        opts=child,
    )
    return group.name, log_permission
