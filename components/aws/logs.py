"""A workload's log: a group of its own, which its role may write to, and no other."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.foundation import Foundation
from components.aws.policies import allow, policy

LOG_DAYS = 30


def create_log_group(
    name: str,
    foundation: Foundation,
    identity: contracts.Identity,
    parent: pulumi.Resource,
) -> tuple[pulumi.Output[str], pulumi.Resource]:
    """The name of a new log group, and the permission to write there, for the workload to depend on.

    Created before the workload: otherwise the service creates a group of its own and keeps it forever.
    """
    child = pulumi.ResourceOptions(parent=parent)
    group = aws.cloudwatch.LogGroup(
        f"{name}-logs", retention_in_days=LOG_DAYS, tags=foundation.tags, opts=child
    )
    log_permission = aws.iam.RolePolicy(
        f"{name}-may-log",
        role=identity.principal.apply(lambda arn: arn.rpartition("/")[2]),
        policy=policy(
            allow(
                ["logs:CreateLogStream", "logs:PutLogEvents"],
                pulumi.Output.format("{}:*", group.arn),
            )
        ),
        opts=child,
    )
    return group.name, log_permission
